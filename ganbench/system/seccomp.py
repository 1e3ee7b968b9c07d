"""A seccomp filter: system calls that a process, and whatever it starts, may not make any more.

Docs: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import platform
from collections.abc import Iterable, Mapping

from ganbench.system import kernel

FILTER = 2  # the mode of prctl(2)
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # the latter with an error number in its low bits
LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24  # places in what a filter sees; low halves
OTHER_ABI = 0x40000000  # x32's numbers on x86-64: the same calls under other names
NEW_NAMESPACES = 0x7E020000  # flags of clone(2)
STREAM, KIND = 1, 0xF  # of a socket, without its flags

MACHINES: Mapping[str, tuple[int, int]] = {  # audit number, column of CALLS
    "x86_64": (0xC000003E, 0),
    "aarch64": (0xC00000B7, 1),
}
# Sockets, of this machine too: behind some of them, programs do what they are told to. io_uring
# makes them without a call. Others' memory and keys; memory that counts for no process; mounts and
# namespaces, with which a process would get special rights again; what kernels were broken by.
CALLS: Mapping[str, tuple[int, int]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "io_uring_setup": (425, 425),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
}
CLONE, CLONE3, SOCKETPAIR = (56, 220), (435, 435), (53, 199)

Instruction = tuple[int, int, int, int]  # code, jump if so, jump if not, value


class _Line(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("so", ctypes.c_uint8),
        ("other", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("lines", ctypes.POINTER(_Line)))


def install() -> None:
    """Refuse `CALLS`, new namespaces and sockets but for pairs of streams, for good.

    OSError where that cannot be had. The process must have no new privileges.
    """
    machine = platform.machine()
    if machine not in MACHINES:
        raise OSError(f"no filter is known for {machine}")
    written = [_Line(*line) for line in program(*MACHINES[machine])]
    lines = (_Line * len(written))(*written)
    kernel.control(kernel.PR_SET_SECCOMP, FILTER, ctypes.byref(_Program(len(written), lines)))


def program(architecture: int, column: int) -> list[Instruction]:
    """The filter's instructions; a foreign architecture's calls are all refused."""
    lines: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        _refusal(errno.EPERM),
        (LOAD, 0, 0, NUMBER),
        *_if(AT_LEAST, OTHER_ABI, [_refusal(errno.EPERM)]),
    ]
    for numbers in CALLS.values():
        lines += _if(EQUAL, numbers[column], [_refusal(errno.EPERM)])
    # clone3 hides its flags behind a pointer: without it the C library takes clone.
    lines += _if(EQUAL, CLONE3[column], [_refusal(errno.ENOSYS)])
    spaces = [(LOAD, 0, 0, FIRST), *_if(ANY_BIT, NEW_NAMESPACES, [_refusal(errno.EPERM)])]
    lines += _if(EQUAL, CLONE[column], [*spaces, (RETURN, 0, 0, ALLOW)])
    kind = [(LOAD, 0, 0, SECOND), (AND, 0, 0, KIND), (EQUAL, 1, 0, STREAM)]
    pair = [*kind, _refusal(errno.EPERM), (RETURN, 0, 0, ALLOW)]  # others can be sent anywhere
    lines += _if(EQUAL, SOCKETPAIR[column], pair)
    return [*lines, (RETURN, 0, 0, ALLOW)]


def _if(test: int, value: int, then: Iterable[Instruction]) -> list[Instruction]:
    """Instructions that are jumped over unless the test of what was loaded is so."""
    inside = list(then)
    return [(test, 0, len(inside), value), *inside]


def _refusal(number: int) -> Instruction:
    return (RETURN, 0, 0, REFUSE | number)
