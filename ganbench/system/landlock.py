"""Landlock: files that a process, and whatever it starts, may reach from now on.

Docs: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ganbench.system import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # on every architecture
VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
ALL_TCP, ALL_SCOPES = 3, 3  # bind and connect; signals and abstract sockets
READ = EXECUTE | READ_FILE | READ_DIR
SCOPES = 6  # the version that can keep signals inside


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Of what the kernel has; OSError where it has none."""
    return kernel.system_call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))


def restrict(
    *, readable: Iterable[Path], listable: Iterable[Path], writable: Iterable[Path]
) -> int:
    """Leave this process these files and folders with all below them; what is missing is passed by.

    `listable` folders show names alone. All else that a version can shut is shut: TCP, signals and
    abstract sockets to others. Returns the version; OSError where the kernel has none. The process
    must have no new privileges.
    """
    found = version()
    handled = _rights(found)
    rules = _Ruleset(handled, ALL_TCP if found >= 4 else 0, ALL_SCOPES if found >= SCOPES else 0)
    size = 24 if found >= SCOPES else 16 if found >= 4 else 8
    ruleset = kernel.system_call(
        CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    everything = handled & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)
    try:
        for allowed, paths in ((READ, readable), (READ_DIR, listable), (everything, writable)):
            for path in paths:
                _allow(ruleset, path, allowed & handled)
        kernel.system_call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return found


def _rights(found: int) -> int:
    """All that a version of Landlock can forbid of files, a bit each."""
    bits = 13 if found < 2 else 14 if found < 3 else 15 if found < 5 else 16
    return (1 << bits) - 1


def _allow(ruleset: int, path: Path, allowed: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what this process cannot reach, no later one will need
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            allowed &= OF_FILES
        rule = _Rule(allowed, place)
        kernel.system_call(
            ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(place)
