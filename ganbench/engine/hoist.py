"""Loop-invariant code motion for the loops that torch's compiler writes in C++.

Shapes are static, so that a loop's buffers and its views of them need to be made only once, before
it; the compiler makes them in every cycle, which for small networks costs more than what is
computed in them. Of a loop such as

    while (1) {
        AtenTensorHandle buf0_handle;
        AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(2, ..., &buf0_handle));
        RAIIAtenTensorHandle buf0(buf0_handle);
        cpp_fused_mul_0(arg1_1, buf0);
        buf0.reset();
    }

it makes

    AtenTensorHandle buf0_handle;
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(2, ..., &buf0_handle));
    RAIIAtenTensorHandle buf0(buf0_handle);
    while (1) {
        cpp_fused_mul_0(arg1_1, buf0);
    }

It knows the compiler's text, not its grammar, and so it is tried with each version of torch: see
TRIED. With any other it leaves the code as it is, which is as right and slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ganbench.system.files import file_sha256

TRIED = ("2.13",)  # versions of torch whose code for loops has been looked at and tested

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
    """The C++ code with what no cycle of its loops changes in front of them."""
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
        elif kind == "reuse":  # another name for it, as it is needed again in the next cycle
            before.append(re.sub(r"auto (\w+) = std::move\((\w+)\);.*", r"auto& \1 = \2;", text))
        else:
            assert kind == "drop"  # of what the next cycle needs again
    views: dict[str, str] = {}

    def named(view: re.Match[str]) -> str:
        return view[0] if changes(view[0]) else views.setdefault(view[0], f"view_{len(views)}")

    inside = [re.sub(VIEW, named, text) for text in inside]
    before += [f"auto {name} = {view};" for view, name in views.items()]
    return "\n".join([*before, "while (1) {", *inside, "}"])


def is_tried(version: str) -> bool:
    """Whether the code that this version of torch writes is known: 2.13.1+cpu is of 2.13."""
    return ".".join(version.split(".")[:2]) in TRIED


@contextmanager
def hoisting() -> Iterator[None]:
    """Inside, torch's compiler hoists its C++ code for the CPU, if its version is one TRIED."""
    if not is_tried(torch.__version__):
        yield
        return
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
        # What the compiler keeps of other code, or of this file as it was, is none of this.
        key = f"ganbench-hoist-{file_sha256(Path(__file__))}"
        with config.patch(cache_key_tag=key):  # type: ignore[attr-defined]
            yield
    finally:
        common.device_codegens["cpu"] = plain
