"""What a node computes of an order, and what it says when it cannot: all without a cluster."""

from __future__ import annotations

import json
import os
import pickle
import platform
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.catalog import user_code
from gdcli.engine.examples import load
from gdcli.errors import RunError, UserError
from gdcli.executors import local
from gdcli.executors.local import JobSpec, compute, job_of
from gdcli.executors.ray import Ray
from gdcli.experiment.experiment import read
from gdcli.runs.options import RunOptions
from gdcli.runs.run import Run
from gdcli.runs.spec import line
from gdcli.runs.store import Shard
from tests.experiments import given
from tests.own_code import BOWL, write

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Undo what a node does to its process."""
    directory, handler = Path.cwd(), signal.getsignal(signal.SIGINT)
    yield
    os.chdir(directory)
    signal.signal(signal.SIGINT, handler)


def run_of(problem: str = "quadratic", **options: object) -> Run:
    """Return a run of two batches."""
    grid = {"lr": "0.1,0.2", "optimizer": "vanilla,adam", "epochs": "3"}
    return Run(read(given(problem, options=options, grid=grid)), RunOptions())


def test_a_node_computes_the_shard_of_this_machine() -> None:
    run = run_of()
    job: JobSpec = pickle.loads(pickle.dumps(job_of(run, Ray.owns)))  # noqa: S301 -- our own
    for index in (0, 1):
        shard = compute(job, index, None)
        here = run.compute(index, None, lambda _: None)
        assert isinstance(shard, Shard)
        assert here._replace(seconds=0) == shard._replace(seconds=0)


def test_a_node_that_differs_says_in_what() -> None:
    job = job_of(run_of(), Ray.owns)
    spec = json.loads(job.spec)
    spec["fingerprint"]["numpy"] = "1.0"
    error = compute(replace(job, spec=line(spec), spec_id="another"), 0, None)
    assert isinstance(error, RunError)
    what = "it would compute other bits than the machine of the run: fingerprint.numpy 1.0 -> "
    assert str(error).startswith(f"node {platform.node()}: {what}")


def test_data_that_a_node_lacks_are_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "own.csv"
    file.write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(20)))
    job = job_of(run_of("linear-regression", data="own.csv", target="y"), Ray.owns)
    os.chdir("/")
    assert not isinstance(compute(job, 0, None), RunError)  # it goes where the driver is
    file.unlink()
    local._opened.cache_clear()
    load.cache_clear()
    error = compute(job, 0, None)
    assert isinstance(error, RunError)
    assert str(error).startswith("node ")
    assert "own.csv" in str(error)


def test_a_node_need_not_see_the_users_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "my_bowl.py", BOWL)
    run = run_of(str(file))
    job = job_of(run, Ray.owns)
    here = run.compute(0, None, lambda _: None)
    file.unlink()
    monkeypatch.setattr(user_code, "_sent", {})
    local._opened.cache_clear()
    shard = compute(job, 0, None)
    assert isinstance(shard, Shard)
    assert here._replace(seconds=0) == shard._replace(seconds=0)


def test_a_file_that_was_edited_meanwhile_is_not_sent(tmp_path: Path) -> None:
    file = write(tmp_path, "my_bowl.py", BOWL)
    run = run_of(str(file))
    file.write_text(f"{BOWL}\n")
    with pytest.raises(UserError, match="it was changed while the run began"):
        job_of(run, Ray.owns)
