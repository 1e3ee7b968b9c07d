"""A confined process: what it cannot reach, and that nothing of it is left."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganbench.system import cell, kernel, landlock, sandbox, seccomp
from ganbench.system.cell import CellError
from ganbench.system.leftovers import held_folder
from ganbench.system.sandbox import Limits, Rules

pytestmark = [
    pytest.mark.skipif(not kernel.available(), reason="only Linux confines a process"),
    pytest.mark.slow,
]

ROOT = Path(sandbox.__file__).parents[2]
TARGET = "def call(code, tell, stop):\n    exec(code, {'tell': tell, 'stop': stop})\n"


def confined(code: str, **limits: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """What Python code tells and prints in a confined process."""
    told: list[dict[str, Any]] = []
    said: list[str] = []
    with held_folder() as folder:
        (folder / "target.py").write_text(TARGET)
        cell.call(
            "target:call",
            code,
            scratch=folder,
            rules=Rules(writable=[folder], limits=Limits(**{"seconds": 60.0, **limits})),
            hear=told.append,
            say=said.append,
            environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        )
    return told, said


@pytest.fixture(scope="module")
def open_here() -> list[str]:
    """What this system cannot shut."""
    return [line.removeprefix("not confined: ") for line in confined("pass")[1]]


def need(open_here: list[str], *subjects: str) -> None:
    """Skip, with its reason, what this system cannot shut."""
    for line in open_here:
        if line.partition(":")[0] in (*subjects, "everything"):
            pytest.skip(line)


def raised(code: str, **limits: Any) -> str:
    with pytest.raises(CellError) as error:
        confined(code, **limits)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_what_is_told_and_printed_comes_through():
    told, said = confined(
        "tell({'x': 1}); print('a\\nb\\x1b[2J'); import sys; print(3, file=sys.stderr)"
    )
    assert told == [{"x": 1}]
    assert [line for line in said if not line.startswith("not confined")] == ["3"]


def test_what_is_printed_is_made_printable_and_not_too_much(open_here):
    _, said = confined("import os; os.write(2, b'\\x1b[2Jx\\n' + (b'y' * 99 + b'\\n') * 10**4)")
    lines = said[len(open_here) :]
    assert lines[0] == "\N{REPLACEMENT CHARACTER}[2Jx"
    assert lines[-1] == "what else it prints is not shown"
    assert sum(map(len, lines)) < 2 * cell.MOST_NOISE


# Network


@pytest.fixture
def server() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine that listens, and who has connected."""
    met: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, other = listening.accept()
                except OSError:
                    return
                connection.close()
                met.append(other)

        threading.Thread(target=accept, daemon=True).start()
        port = listening.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        while not met:
            time.sleep(0.01)
        met.clear()
        yield port, met
        listening.shutdown(socket.SHUT_RDWR)


CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), 2)"


def test_nobody_is_reached(open_here, server):
    need(open_here, "network")
    port, met = server
    assert "Error" in raised(CONNECT.format(port=port))
    assert "Error" in raised("import socket; socket.create_connection(('1.1.1.1', 53), 2)")
    assert "gaierror" in raised("import socket; socket.getaddrinfo('example.com', 80)")
    time.sleep(0.1)
    assert met == []


def test_programs_of_this_machine_are_not_reached(open_here, tmp_path):
    """Behind some sockets, programs start whatever they are told to."""
    need(open_here, "sockets")
    place = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({place!r})"
        assert raised(code).startswith("PermissionError")
    assert confined("import socket; a, b = socket.socketpair(); a.send(b'x'); tell({'x': 1})")[0]


def alone(setup: str, then: str) -> subprocess.CompletedProcess[str]:
    """Code in a process that only one mechanism has been set up in."""
    code = f"""
import os, sys, ctypes
from pathlib import Path
from ganbench.system import kernel, landlock, sandbox, seccomp
try:
    kernel.control(kernel.PR_SET_NO_NEW_PRIVS, 1)
    {setup}
except OSError as error:
    print(error)
    sys.exit(77)
{then}
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    return done


ALL = "readable=[Path('/')], listable=[], writable=[]"
MECHANISMS = {
    "landlock": f"landlock.restrict({ALL}) >= 4 or sys.exit('no TCP')",
    "seccomp": "seccomp.install()",
    "namespace": """failed = sandbox.separate()
    if 'network' in failed:
        raise OSError(failed['network'])""",
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_each_mechanism_alone_keeps_from_the_network(name: str, server):
    port, met = server
    done = alone(MECHANISMS[name], CONNECT.format(port=port))
    if done.stderr.strip() == "no TCP":
        pytest.skip("this Landlock knows nothing of TCP")
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].startswith(
        ("PermissionError", "OSError")
    ), done.stderr
    assert met == []


def test_without_any_mechanism_the_network_is_reached(server):
    """Else the tests above could not fail."""
    port, met = server
    assert alone("pass", CONNECT.format(port=port)).returncode == 0
    time.sleep(0.1)
    assert len(met) == 1


# Files


def test_files_outside_are_neither_read_nor_written(open_here, tmp_path):
    need(open_here, "files")
    secret = tmp_path / "secret"
    secret.write_text("s")
    for code in (
        f"open({str(secret)!r})",
        f"open({str(secret)!r}, 'a')",
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"import os; os.unlink({str(secret)!r})",
        f"import os; os.truncate({str(secret)!r}, 0)",
        f"import os; os.rename({str(secret)!r}, 'here')",
        f"import os; os.link({str(secret)!r}, 'here')",
        f"import os; os.symlink({str(secret)!r}, 'here'); open('here')",
        f"import os; os.listdir({str(tmp_path)!r})",
        f"import os; os.mkfifo({str(tmp_path / 'new')!r})",
        f"import subprocess; subprocess.run(['/bin/cat', {str(secret)!r}], check=True)",
        f"import os; os.listdir({str(Path.home() if Path.home().is_dir() else tmp_path)!r})",
        "open('/etc/shadow')",
        f"open({str(Path(sandbox.__file__))!r}, 'a')",
    ):
        line = raised(code)
        assert line.startswith(("PermissionError", "OSError", "CalledProcessError")), code
        assert not line.startswith("OSError: [Errno 2]"), code
    assert secret.read_text() == "s" and list(tmp_path.iterdir()) == [secret]


def test_the_own_folder_may_be_written():
    code = "open('x', 'w').write('1'); import os, tempfile; os.rename('x', 'home/y')\n"
    code += "tempfile.TemporaryFile().close(); tell({'x': open('home/y').read()})"
    assert confined(code)[0] == [{"x": "1"}]


# Secrets, rights


def test_the_environment_is_cleaned(open_here, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    told, _ = confined("import os; tell(dict(os.environ))")
    assert "s3cret" not in str(told) and told[0]["LC_ALL"] == "C.UTF-8"
    assert not Path(told[0]["HOME"]).is_relative_to(Path.home())


def test_the_environment_of_others_is_not_read(open_here, monkeypatch):
    need(open_here, "files", "processes")
    sleeper = subprocess.Popen(["sleep", "60"], env={"SECRET": "s3cret"})
    try:
        for pid in (os.getpid(), sleeper.pid):
            line = raised(f"open('/proc/{pid}/environ').read()")
            assert line.startswith(("FileNotFoundError", "PermissionError"))
        code = "import glob; tell({'s': [open(f).read() for f in glob.glob('/proc/*/cmdline')]})"
        assert "sleep" not in str(confined(code)[0])
    finally:
        sleeper.kill()
        sleeper.wait()


def test_no_special_rights_are_left_or_gained():
    code = (
        "import subprocess as s; tell({'s': s.check_output(['cat', '/proc/self/status']).decode()})"
    )
    status = dict(
        line.split(":\t", 1) for line in confined(code)[0][0]["s"].splitlines() if ":\t" in line
    )
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("name", seccomp.CALLS)
def test_a_system_call_is_refused(name: str, open_here):
    need(open_here, "sockets")
    number = seccomp.CALLS[name][seccomp.MACHINES[platform.machine()][1]]
    done = alone(
        "seccomp.install()",
        f"""
try:
    kernel.system_call({number}, *[ctypes.c_long(0)] * 6)
except PermissionError:
    sys.exit(5)
""",
    )
    assert done.returncode == 5, done.stderr


def test_no_new_user_space_by_any_name():
    code = "import os, ctypes, signal\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    number = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
    if number is None:
        pytest.skip("no filter is known for this machine")
    code += f"""
flags = {sandbox.NEW_USER} | signal.SIGCHLD
pid = libc.syscall({number}, ctypes.c_long(flags), *[ctypes.c_long(0)] * 4)
if pid == 0:
    os._exit(0)
sys.exit(5 if pid < 0 and ctypes.get_errno() == 1 else 1)
"""
    assert alone("seccomp.install()", code).returncode == 5


def test_calls_of_another_abi_are_refused():
    """x32 has the same calls under other numbers."""
    if platform.machine() != "x86_64":
        pytest.skip("only x86-64 has another ABI in the same architecture")
    number = seccomp.OTHER_ABI + 41
    then = f"""
try:
    kernel.system_call({number}, ctypes.c_long(2), ctypes.c_long(1), ctypes.c_long(0))
except PermissionError:
    sys.exit(5)
"""
    assert alone("seccomp.install()", then).returncode == 5


# Limits


def test_memory_of_its_own_is_limited():
    assert raised("bytearray(100 * 2**30)", memory_bytes=2**30).startswith("MemoryError")


SHARED = """
import mmap, time
m = mmap.mmap(-1, 2**30)
for i in range(0, 2**30, 4096):
    m[i] = 1
time.sleep(60)
"""


def test_memory_that_the_kernel_does_not_count_is_limited():
    assert "GiB of memory, more than" in raised(SHARED, memory_bytes=2**28)


FORKS = """
import os, time
for _ in range({count}):
    if not os.fork():
        held = bytearray(b'x') * {size}
        time.sleep(60)
time.sleep(60)
"""


def test_memory_of_all_together_is_limited():
    code = FORKS.format(count=8, size=2**26)
    assert "GiB of memory, more than" in raised(code, memory_bytes=2**28)


def test_processes_are_limited():
    line = raised(FORKS.format(count=10_000, size=1), processes=50)
    assert line == "it started more than 50 processes" or "BlockingIOError" in line


def test_time_is_limited():
    assert raised("while True: pass", seconds=1.0) == "it ran longer than 1 s"


def test_files_are_limited(monkeypatch):
    monkeypatch.setattr(cell, "DISK_TICK", 0.2)
    assert "File too large" in raised("open('x', 'wb').write(bytes(2**21))", file_bytes=2**20)
    fill = "for i in range({count}): open(f'x{{i}}', 'wb').write(bytes({size}))\n"
    fill += "import time; time.sleep(60)"
    assert "it wrote" in raised(fill.format(count=99, size=2**20), disk_bytes=2**24)
    assert raised(fill.format(count=999, size=1), files=500) == "it wrote more than 500 files"
    many = "kept = [open('/dev/null') for _ in range(99)]"
    assert "Too many open files" in raised(many, open_files=50)


def test_no_core_is_dumped():
    told, _ = confined("import resource; tell({'x': resource.getrlimit(resource.RLIMIT_CORE)})")
    assert told == [{"x": [0, 0]}]


# Ends


def test_every_end_is_one_line():
    assert raised("import os; os._exit(0)") == "it ended before it was done"
    assert raised("import os; os._exit(3)") == "it ended with exit code 3"
    assert raised("import ctypes; ctypes.string_at(0)") == "it was ended by SIGSEGV"
    assert raised("raise ValueError('a\\nb')") == "ValueError: a"
    assert raised("raise SystemExit(4)") == "it ended with exit code 1"
    assert raised("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == (
        "it was ended by SIGKILL, perhaps for want of memory"
    )


@pytest.mark.parametrize("text", ["no message", "[1]", "[" * 100_000, "x" * 3_000_000, "\\xff"])
def test_what_is_no_message_ends_it(text: str):
    code = "import os\nfor n in range(3, 1024):\n    try:\n        os.write(n, b'''%s\\n''' )\n"
    code += "    except OSError: pass\nimport time; time.sleep(60)"
    assert raised(code % text) == "what it told is no message"


def left(mark: str) -> list[str]:
    """The running processes whose command line has a mark in it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in file.read_bytes():
                found.append(file.parent.name)
        except OSError:
            continue
    return found


LEAVER = """
import os, subprocess, time
if not os.fork():
    os.setsid()
    if not os.fork():
        os.execvp('sleep', ['sleep', '{mark}'])
    os._exit(0)
os.wait()
time.sleep(0.3)
tell({{'x': 1}})
{then}
"""


@pytest.mark.parametrize("then", ["", "os._exit(1)", "time.sleep(60)"])
def test_nobody_is_left_behind(then: str):
    mark = f"98765.{os.getpid()}{len(then)}"
    code = LEAVER.format(mark=mark, then=then)
    if then:
        raised(code, seconds=2.0)
    else:
        confined(code)
    assert left(mark) == []


def test_nobody_is_left_where_the_listener_gives_up(monkeypatch):
    mark = f"ganbench.system.inmate\0{os.getpid()}\0"

    def interrupted(*_: object) -> None:
        assert left(mark)
        raise KeyboardInterrupt

    monkeypatch.setattr(cell._Heard, "message", interrupted)
    with pytest.raises(KeyboardInterrupt), held_folder() as folder:
        (folder / "target.py").write_text(TARGET)
        cell.call(
            "target:call",
            "",
            scratch=folder,
            rules=Rules(writable=[folder]),
            hear=print,
            say=print,
            environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        )
    assert left(mark) == []


PARENT = """
import sys
from pathlib import Path
from ganbench.system import cell
from ganbench.system.sandbox import Rules
folder = Path(sys.argv[1])
(folder / "target.py").write_text("def call(code, tell, stop):\\n    exec(code)\\n")
cell.call("target:call", sys.argv[2], scratch=folder, rules=Rules(writable=[folder]),
    hear=lambda m: print("up", flush=True), say=print,
    environment={"PYTHONPATH": f"{sys.argv[3]}:{folder}"})
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_called_it(number: int, tmp_path: Path):
    mark = f"98763.{os.getpid()}{number}"
    code = LEAVER.format(mark=mark, then="time.sleep(60)")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), code, str(ROOT)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        while "up" not in parent.stdout.readline():
            assert parent.poll() is None
        assert left(mark)
        parent.send_signal(number)
        parent.wait()
    deadline = time.monotonic() + 20
    while left(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(mark) == []


def test_a_wish_to_stop_is_heard():
    stop = threading.Event()
    with held_folder() as folder:
        (folder / "target.py").write_text(TARGET)
        told: list[dict[str, Any]] = []

        def hear(message: dict[str, Any]) -> None:
            told.append(message)
            stop.set()

        cell.call(
            "target:call",
            "tell({'x': 1}); tell({'stopped': stop.wait(30)})",
            scratch=folder,
            rules=Rules(writable=[folder]),
            hear=hear,
            say=print,
            stop=stop,
            environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        )
    assert told == [{"x": 1}, {"stopped": True}]


def test_a_folder_is_removed_however_deep_and_shut():
    code = "import os\nfor _ in range(1200):\n    os.mkdir('deep'); os.chdir('deep')\n"
    code += "os.chmod('.', 0); os.chdir('/proc')"
    with held_folder() as folder:
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)
        assert done.returncode == 0
        assert sum(1 for _ in cell.walk(folder)) > 500
    assert not folder.exists()


# What a system lacks is said


WITHOUT = """
def lacking(*a, **k):
    raise OSError('lacking')
{lack}
for line in sandbox.confine(sandbox.Rules(writable=[]), {failed}):
    print(line.partition(':')[0])
"""
EVERY = dict.fromkeys(sandbox.SPACES, "lacking")


@pytest.mark.parametrize(
    ("lack", "failed", "open_"),
    [
        ("landlock.restrict = lacking", EVERY, "files processes processes"),
        ("seccomp.install = lacking", EVERY, "network sockets"),
        ("seccomp.install = landlock.restrict = lacking", EVERY, "network sockets files"),
        ("pass", {"network": "lacking"}, ""),
        ("kernel.available = lambda: False", {}, "everything"),
    ],
)
def test_what_cannot_be_shut_is_said(lack: str, failed: dict[str, str], open_: str):
    done = alone("pass", WITHOUT.format(lack=lack, failed=failed))
    assert done.returncode == 0, done.stderr
    assert set(open_.split()) <= set(done.stdout.split()), done.stdout
    if not open_:
        assert not {"network", "sockets"} & set(done.stdout.split())


def test_the_sizes_of_structures_are_the_kernels():
    assert ctypes.sizeof(landlock._Rule) == 12
    assert ctypes.sizeof(seccomp._Line) == 8
