"""Calls of the Linux kernel that Python has no name for, by ctypes."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from typing import Any

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
CAPABILITIES = 0x20080522  # the version of the structures of capset(2)


def available() -> bool:
    """Whether this is Linux."""
    return sys.platform == "linux"


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """What a function of the C library returns; OSError where that is negative."""
    if not available():
        raise OSError(f"{platform.system()} has no {name}")
    ctypes.set_errno(0)
    found = int(getattr(_libc(), name)(*arguments))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return found


def system_call(number: int, *arguments: Any) -> int:
    """The same for a system call by its number."""
    return call("syscall", ctypes.c_long(number), *arguments)


def control(option: int, *values: Any) -> int:
    """prctl(2), with zeros for what is not given."""
    given = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in values]
    return call("prctl", option, *given, *[ctypes.c_ulong(0)] * (4 - len(given)))


def end_with_parent(parent: int, number: int) -> None:
    """Have the kernel send a signal to this process as soon as its `parent` has ended."""
    control(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it had ended before
        os._exit(1)


def drop_capabilities() -> None:
    """Give up every special right, those of root above all; what can be read is then by owner."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())
