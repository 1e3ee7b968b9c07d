"""Windows of losses, and the file of their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench.errors import InputError
from ganbench.harness.log import Log, Window, columns, read_log


def test_a_window_averages_over_the_steps_that_reported() -> None:
    window = Window()
    window.add({"d_loss": np.array([1.0, 2.0]), "g_loss": np.array([5.0])})
    window.add({"d_loss": np.array([6.0])})
    assert window.take() == {"d_loss": 3.0, "g_loss": 5.0}
    assert window.take() == {}


def test_stacked_takes_tensors_and_numbers() -> None:
    values = columns([{"a": 1.0, "b": torch.tensor([2.0])}, {"a": torch.tensor(3)}])
    assert values["a"].tolist() == [1, 3]
    assert values["b"].tolist() == [2]
    only_tensors = [{"a": torch.tensor(1.0), "b": torch.tensor(2)}, {"b": torch.tensor(3)}]
    values = columns(only_tensors)
    assert (values["a"].tolist(), values["b"].tolist()) == ([1], [2, 3])
    assert columns([{}, {}]) == {}


@pytest.mark.parametrize("value", [torch.zeros(2), "low", None])
def test_what_is_no_scalar_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="must return named scalars, got d_loss"):
        columns([{"d_loss": value}])


def test_rows_come_back_as_columns(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl", after=0)
    log.write(1, 0.5, {"d_loss": 0.25})
    log.write(2, 1.0, {"d_loss": 0.5, "g_loss": 3.0})
    log.close()
    columns = read_log(tmp_path / "log.jsonl")
    assert columns["step"].tolist() == [1, 2]
    assert columns["train_seconds"].tolist() == [0.5, 1.0]
    assert np.isnan(columns["g_loss"][0]) and columns["g_loss"][1] == 3


def test_a_resumed_log_goes_on_from_the_checkpoint_and_drops_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path, after=0)
    for step in (1, 2, 3):
        log.write(step, step, {})
    log.close()
    path.write_text(path.read_text() + '{"step": 4, "train_')
    assert read_log(path)["step"].tolist() == [1, 2, 3]

    log = Log(path, after=2)
    log.write(3, 9, {})
    log.close()
    assert read_log(path)["step"].tolist() == [1, 2, 3]
    assert read_log(path)["train_seconds"].tolist() == [1, 2, 9]


def test_a_run_from_the_start_drops_the_former_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        log = Log(path, after=0)
        log.write(1, 1, {})
        log.close()
    assert read_log(path)["step"].tolist() == [1]


def test_no_file_is_no_columns(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.jsonl") == {}
