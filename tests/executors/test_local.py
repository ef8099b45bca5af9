"""How many processes compute: what was asked for, what pays, and what the memory is enough for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gdcli.engine import estimate
from gdcli.engine.batch import TrialBatch, batches_of
from gdcli.engine.estimate import batch_memory, quick_estimate
from gdcli.engine.examples import examples_of
from gdcli.executors import local
from gdcli.executors.supervisor import RunMonitor
from gdcli.runs.options import RunOptions
from gdcli.runs.run import Run
from tests.executors.test_execute import Counting
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Return a progress on a machine of four cores."""
    monkeypatch.setattr(local, "_cores", lambda: 4)
    return Counting()


def workers(folder: Path, progress: Counting, epochs: str = "50", **options: Any) -> int:
    """Return how many workers a grid of three batches gets."""
    given = experiment("quadratic", optimizer="vanilla,adam,momentum", epochs=epochs)
    run = Run(given, RunOptions(output=folder, **options))
    return local.workers_for(run, [0, 1, 2], RunMonitor(run, progress))


def test_workers_are_as_many_as_asked_for_and_never_more_than_batches(
    tmp_path: Path, counting: Counting
) -> None:
    assert workers(tmp_path, counting, workers=1) == 1
    assert workers(tmp_path, counting, workers=2) == 2
    assert workers(tmp_path, counting, workers=9) == 3


def test_unasked_there_are_workers_only_where_they_pay(tmp_path: Path, counting: Counting) -> None:
    assert workers(tmp_path, counting) == 1
    assert workers(tmp_path, counting, epochs="999999", memory="1TB") == 3
    assert not counting.notes


def test_a_grid_that_numpy_does_at_once_is_not_tried_out(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "quick_estimate", lambda *_, **__: 1e9)
    assert workers(tmp_path, counting) == 1
    assert workers(tmp_path, counting, epochs="99999", memory="1TB") == 3


def test_memory_is_enough_for_all_workers_together(tmp_path: Path, counting: Counting) -> None:
    run = Run(experiment("quadratic"), RunOptions(output=tmp_path))
    one = batch_memory(run.batches[0], examples_of(run.batches[0].trials[0]))
    assert workers(tmp_path, counting, workers=3, memory=str(int(2.5 * one))) == 2
    assert counting.notes == ["memory is enough for 2 of 3 workers"]


def test_a_gpu_has_one_process(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gdcli.runs.run.resolve", lambda *_, **__: "cuda:0")
    monkeypatch.setattr("gdcli.runs.run.fingerprint", lambda *_, **__: {})
    assert workers(tmp_path, counting, workers=4) == 1


def test_an_estimate_looks_no_further_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def quickly(batch: TrialBatch, _: str) -> float:
        seen.append(batch.cohort)
        return 2.0

    monkeypatch.setattr(estimate, "_quickly", quickly)
    grid = experiment("quadratic", optimizer="vanilla,adam,momentum", lr="lin:1:2:600").grid
    batches = batches_of(grid.cohorts)
    assert len(batches) == 9
    assert quick_estimate(batches, "cpu", 1.0) == 18.0
    assert len(seen) == 1
    assert quick_estimate(batches, "cpu", 100.0) == 18.0
    assert len(seen) == 4


def test_what_raises_costs_nothing_in_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("gdcli.problems.quadratic.Quadratic.gradient", refuse)
    batches = batches_of(experiment("quadratic").grid.cohorts)
    assert quick_estimate(batches, "cpu", 1.0) == 0.0
    assert quick_estimate([], "cpu", 1.0) == 0.0
