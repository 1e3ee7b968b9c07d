"""Worker processes."""

from __future__ import annotations

import os

from ganbench.system import processes


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


def test_cores():
    assert 1 <= processes.cores() <= (os.cpu_count() or 1)
