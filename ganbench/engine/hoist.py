"""Takes what no turn changes out of the loops that torch's compiler writes in C++.

Shapes are static, so that a loop's buffers and its views of them need to be made only once, before
it. In a turn of small networks, making them costs more than what is computed in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

KEY = "ganbench-hoist-1"  # to the compiler's cache: to be changed with the code below

LOOP = re.compile(r"^(?P<indent> *)while \(1\) \{\n(?P<body>.*?)^(?P=indent)\}$", re.M | re.S)
VIEW = r"wrap_with_raii_handle_if_needed\(reinterpret_tensor_wrapper\([^()]*\)\)"
STATEMENT = re.compile(
    rf"""
    (?P<array> static\ constexpr\ int64_t\ .* )
  | (?P<tensor>
      AtenTensorHandle\ (\w+)_handle;\n
      .*\(aoti_torch_(?:empty_strided|assign_tensors_out)\(.*,\ &\3_handle\)\);\n
      RAIIAtenTensorHandle\ \3\(\3_handle\); )
  | (?P<view> auto\ \w+\ =\ {VIEW};(?:\ \w+\.reset\(\);)?\ \ //\ (?:alias|reuse) )
  | (?P<reuse> auto\ \w+\ =\ std::move\(\w+\);\ \ //\ reuse )
  | (?P<drop> \w+\.reset\(\); )
  | (?P<other> .+ )
    """,
    re.X,
)
MADE = re.compile(r"(?:AtenTensorHandle|auto) (\w+?)(?:_handle)?\b")
CHANGED = re.compile(r"std::move\((\w+)\)|^(?:[\w:]+&? )?(\w+)(?: = |;|\(\w+\);)|(\w+)\.reset\(\)")


def hoisted(code: str) -> str:
    """The C++ code with what is fixed in its loops in front of them."""
    return LOOP.sub(_hoist, code)


def _hoist(loop: re.Match[str]) -> str:
    statements = list(STATEMENT.finditer(re.sub(r"^ +", "", loop["body"], flags=re.M)))
    changing = {
        name
        for statement in statements
        if statement.lastgroup == "other"
        for names in CHANGED.findall(statement[0])
        for name in names
    }
    before: list[str] = []
    inside: list[str] = []

    def changes(text: str) -> bool:
        return not changing.isdisjoint(re.findall(r"\w+", text))

    for statement in statements:
        text, kind = statement[0], statement.lastgroup
        made = MADE.match(text)
        if kind == "array":
            before.append(text)
        elif kind == "other" or changes(text):
            inside.append(text)
            changing |= {made[1]} if made and kind != "other" else set()
        elif kind == "tensor":
            before.append(text)
        elif kind == "view":
            before.append(text.partition(";")[0] + ";")
        elif kind == "reuse":  # another name for it, as it is needed again in the next turn
            before.append(re.sub(r"auto (\w+) = std::move\((\w+)\);.*", r"auto& \1 = \2;", text))
        else:
            assert kind == "drop"  # of what the next turn needs again
    views: dict[str, str] = {}

    def named(view: re.Match[str]) -> str:
        return view[0] if changes(view[0]) else views.setdefault(view[0], f"view_{len(views)}")

    inside = [re.sub(VIEW, named, text) for text in inside]
    before += [f"auto {name} = {view};" for view, name in views.items()]
    return "\n".join([*before, "while (1) {", *inside, "}"])


@contextmanager
def hoisting() -> Iterator[None]:
    """Inside, torch's compiler has its C++ code for the CPU hoisted."""
    from torch._inductor.codegen import common  # slow to import
    from torch._inductor.codegen.cpp_wrapper_cpu import CppWrapperCpu
    from torch.compiler import config

    class Hoisting(CppWrapperCpu):
        @staticmethod
        def create(*args: Any, **kwargs: Any) -> CppWrapperCpu:
            return Hoisting()  # type: ignore[no-untyped-call]

        def generate(self, is_inference: bool) -> Any:
            code, kernels = super().generate(is_inference)  # type: ignore[no-untyped-call]
            code.value = hoisted(code.value)
            return code, kernels

    common.init_backend_registration()
    plain = common.device_codegens["cpu"]
    common.device_codegens["cpu"] = replace(plain, cpp_wrapper_codegen=Hoisting)
    try:
        with config.patch(cache_key_tag=KEY):  # type: ignore[attr-defined]
            yield
    finally:
        common.device_codegens["cpu"] = plain
