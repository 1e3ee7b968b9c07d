"""Worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from ganbench.errors import InputError
from ganbench.system import processes


@pytest.mark.slow
def test_workers_begin_with_the_environment_of_now(monkeypatch, tmp_path):
    """Not that of the moment when the server which forks them started."""
    for value in ("first", "second", None):
        if value is None:
            monkeypatch.delenv("GANBENCH_TEST")
        else:
            monkeypatch.setenv("GANBENCH_TEST", value)
        with processes.pool(1, os.chdir, str(tmp_path)) as pool:
            assert pool.submit(os.getenv, "GANBENCH_TEST").result() == value
            assert pool.submit(os.getcwd).result() == str(tmp_path)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the system has no such thing")
def test_what_tells_of_an_end_is_closed():
    before = set(Path("/proc/self/fd").iterdir())
    process = processes.fork(int)
    with processes.death(process) as death:
        assert wait([death], timeout=60) == [death]
    processes.end(process, grace=1.0)
    process.close()
    assert set(Path("/proc/self/fd").iterdir()) <= before


@pytest.mark.slow
@pytest.mark.skipif(not processes.FORKED, reason="there is no server")
def test_a_server_that_has_ended_is_started_anew():
    processes.prepare()
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    process = processes.start(os.getpid)
    process.join()
    assert process.exitcode == 0


@pytest.mark.slow
@pytest.mark.skipif(not processes.FORKED, reason="there is no server")
def test_a_server_that_takes_a_while_to_end_is_waited_for(monkeypatch):
    """Its socket is closed by then, and the process not yet gone."""
    connect, errors = forkserver.connect_to_new_process, [EOFError, *2 * [ConnectionRefusedError]]

    def refusing(fds: object) -> object:
        if errors:
            raise errors.pop(0)
        return connect(fds)

    monkeypatch.setattr(forkserver, "connect_to_new_process", refusing)
    process = processes.start(os.getpid)
    process.join()
    assert (process.exitcode, errors) == (0, [])


@pytest.mark.skipif(not processes.FORKED, reason="there is no server")
def test_a_server_that_always_ends_is_a_line(monkeypatch):
    def ended(fds: object) -> None:
        raise EOFError

    monkeypatch.setattr(forkserver, "connect_to_new_process", ended)
    with pytest.raises(InputError, match="no worker process can be started"):
        processes.start(os.getpid)


PARENT = """
import os, time
from ganbench.system import processes
if __name__ == "__main__":
    with processes.pool(2) as pool:
        busy = [pool.submit(time.sleep, 600) for _ in range(2)]
        while len(pool._processes) < 2:
            time.sleep(0.01)
        print(*pool._processes, flush=True)
        time.sleep(600)
"""


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_they_work_for(number, tmp_path):
    """They would go on training for nobody, and two runs would share the cores."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2
    assert all(map(running, workers))
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, workers))


def test_cores():
    assert 1 <= processes.cores() <= (os.cpu_count() or 1)
