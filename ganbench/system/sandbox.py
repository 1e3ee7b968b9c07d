"""Confining the calling process for good: network, files, other processes, memory and time.

Each mechanism that a system may lack is tried by itself; what could then not be shut is said, in a
line for each thing that a confined process could still do. On Linux; elsewhere that is all of them.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganbench.system import kernel, landlock, seccomp
from ganbench.system.limits import DAY
from ganbench.system.processes import CONFINED

NEW_USER = 0x10000000
# Each by what it is called in lines: mounts, objects of System V, process numbers, network.
SPACES: Mapping[str, int] = {
    "mounts": 0x00020000,
    "ipc": 0x08000000,
    "processes": 0x20000000,
    "network": 0x40000000,
}
PRIVATE, RECURSIVE, NO_SETUID, NO_DEVICES = 1 << 18, 1 << 14, 2, 4  # of mount(2)
SHARED = Path("/dev/shm")  # semaphores of worker processes lie there
SHARED_BYTES = 2**26
SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys/devices/system"),
    *("/etc/alternatives", "/etc/fonts", "/etc/group", "/etc/ld.so.cache", "/etc/localtime"),
    *("/etc/nsswitch.conf", "/etc/passwd", "/dev/full", "/dev/random", "/dev/urandom", "/dev/zero"),
)
KEPT = (  # of the environment: where programs are, how numbers are written and computed
    *("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "CC", "CXX", "ATEN_CPU_CAPABILITY"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED"),
)


def _half_of_memory() -> int:
    if not hasattr(os, "sysconf"):
        return 2**32
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a confined process and all that it starts may spend, but for `file_bytes` together.

    The kernel counts memory, open files and computing by the process: whoever watches it (see
    `ganbench.system.cell`) counts memory, processes, seconds and bytes on the disk of all.
    """

    seconds: float = DAY
    memory_bytes: int = field(default_factory=_half_of_memory)
    disk_bytes: int = 2**34
    file_bytes: int = 2**32
    files: int = 200_000
    open_files: int = 1024
    processes: int = 256
    tasks: int = 4096  # processes and their threads


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a process is to be confined to; files and folders are given with all below them."""

    writable: Sequence[Path]
    readable: Sequence[Path] = ()
    limits: Limits = field(default_factory=Limits)


def separate() -> dict[str, str]:
    """Put this process's children into namespaces of their own; why not, for each that failed.

    Of `SPACES`, and "user" where that would have been needed. The caller must have one thread, and
    fork: the first child is process 1 of what it starts, and all of that ends with it.
    """
    failed: dict[str, str] = {}
    user, group = os.getuid(), os.getgid()
    try:  # root of the machine needs no other user's space
        kernel.call("unshare", ctypes.c_int(SPACES["mounts"]))
    except OSError:
        try:
            kernel.call("unshare", ctypes.c_int(NEW_USER))
            Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="utf-8")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="utf-8")
        except OSError as error:
            failed["user"] = str(error)
    for name, flag in SPACES.items():
        try:
            kernel.call("unshare", ctypes.c_int(flag))
        except OSError as error:
            failed[name] = str(error)
    return failed


def confine(rules: Rules, unseparated: Mapping[str, str]) -> list[str]:
    """Confine this process, and whatever it starts, for good; a line for what could not be shut.

    `unseparated` is what `separate` returned in its parent. It needs one thread.
    """
    if not kernel.available():
        return ["everything: only Linux can confine a process"]
    failed = dict(unseparated)
    _own_mounts(failed)
    kernel.control(kernel.PR_SET_NO_NEW_PRIVS, 1)
    limit(rules.limits, tasks="user" not in failed and _in_own_user_space())
    version = 0
    try:
        version = landlock.restrict(
            readable=[*system_files(), *rules.readable],
            listable=[Path(__file__).parents[2]],
            writable=[Path("/dev/null"), SHARED, *rules.writable],
        )
    except OSError as error:
        failed["files"] = f"no Landlock: {error}"
    kernel.drop_capabilities()
    try:
        seccomp.install()
    except OSError as error:
        failed["calls"] = f"no seccomp: {error}"
    return _open(failed, version)


def _open(failed: Mapping[str, str], version: int) -> list[str]:
    """What a process can still do, by what has failed; with the reasons."""
    lines = []
    if "calls" in failed:
        if "network" in failed:
            reasons = f"{failed['network']}; {failed['calls']}"
            lines.append(f"network: it can reach what you can ({reasons})")
        lines.append(f"sockets: it can talk to programs of this machine ({failed['calls']})")
    if "files" in failed:
        lines.append(f"files: it can read and write what you can ({failed['files']})")
    elif "mounts" in failed:
        lines.append(f"shared memory: it can write in {SHARED} ({failed['mounts']})")
    if "processes" in failed and version < landlock.SCOPES:
        lines.append(f"processes: it can end yours ({failed['processes']})")
    if unlisted := {"mounts", "list", "processes"} & failed.keys():
        reason = failed[min(unlisted)]
        lines.append(f"processes: it can see which run, and their command lines ({reason})")
    return lines


def _own_mounts(failed: dict[str, str]) -> None:
    """Give this process an empty `SHARED` of its own, and a list of its own processes alone.

    What fails of both is added to what has failed.
    """
    if "mounts" in failed:
        return
    try:
        kernel.call("unshare", ctypes.c_int(SPACES["mounts"]))  # the parent keeps its own list
        kernel.call("mount", b"none", b"/", None, ctypes.c_ulong(PRIVATE | RECURSIVE), None)
        _mount("tmpfs", SHARED, f"size={SHARED_BYTES},mode=1777")
    except OSError as error:
        failed["mounts"] = str(error)
        return
    if "processes" not in failed:
        try:
            _mount("proc", Path("/proc"))
        except OSError as error:
            failed["list"] = str(error)


def _mount(kind: str, place: Path, options: str = "") -> None:
    flags = ctypes.c_ulong(NO_SETUID | NO_DEVICES)
    kernel.call("mount", kind.encode(), bytes(place), kind.encode(), flags, options.encode())


def _in_own_user_space() -> bool:
    """Whether the kernel counts tasks for what is confined alone, not for all of a user."""
    held = Path("/proc/self/uid_map").read_text(encoding="utf-8").split()
    return held[2:] == ["1"] and os.getuid() != 0  # for root it never counts them


def limit(limits: Limits, *, tasks: bool) -> None:
    """Set the kernel's limits of a process; also of how many `tasks` its user has, if asked to.

    Memory is what is a process's own (RLIMIT_DATA): torch reserves addresses by the gigabyte.
    """
    import resource  # there is none on Windows

    cores = os.cpu_count() or 1
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(limits.seconds * cores) + 1,
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    if tasks:
        bounds[resource.RLIMIT_NPROC] = limits.tasks
    for which, most in bounds.items():
        _, hard = resource.getrlimit(which)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def system_files() -> list[Path]:
    """What Python, its packages, ganbench and a C++ compiler read; nothing of a user's own."""
    package = Path(__file__).parents[1]
    bundled = [package.parent / kind for kind in ("tasks", "baselines")]
    installed = [Path(each) for each in sysconfig.get_paths().values()]
    prefixes = [Path(each) for each in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    libraries = [Path(each) for each in os.environ.get("LD_LIBRARY_PATH", "").split(":") if each]
    return [*map(Path, SYSTEM), package, *bundled, *installed, *prefixes, *libraries]


def environment(scratch: Path, **more: str) -> dict[str, str]:
    """Of this process's environment what a confined one needs; homes and caches in `scratch`."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    own = {
        "HOME": scratch / "home",
        "TMPDIR": scratch / "tmp",
        "XDG_CACHE_HOME": scratch / "cache",
        "MPLCONFIGDIR": scratch / "cache" / "matplotlib",
        "TORCHINDUCTOR_CACHE_DIR": scratch / "cache" / "compiled",  # code that others would run
    }
    for folder in own.values():
        folder.mkdir(parents=True, exist_ok=True)
    kept |= {name: str(folder) for name, folder in own.items()}
    kept |= {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    kept["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else each worker starts a process a core
    return {**kept, CONFINED: "1", **more}
