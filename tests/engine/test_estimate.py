"""How much memory there is, what a batch needs, and what is said when it does not fit."""

from __future__ import annotations

import re
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.datasets import contents
from gdcli.datasets.contents import free, human
from gdcli.engine import estimate
from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.estimate import allowance, batch_memory, check_memory, parse, stacks_of
from gdcli.engine.examples import examples_of
from gdcli.errors import UserError
from tests.grids import experiment

MANY = ",".join(f"0.{i:03d}" for i in range(1, 101))


def needed(problem: str, options: dict[str, Any] | None = None, **grid: Any) -> int:
    """Return what the first batch of a grid needs."""
    (batch, *_) = batches_of(experiment(problem, options, **grid).grid.cohorts)
    return batch_memory(batch, examples_of(batch.trials[0]))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1000", 1000),
        ("7b", 7),
        ("7 B", 7),
        ("4GB", 4 * 10**9),
        ("4gb", 4 * 10**9),
        ("4G", 4 * 10**9),
        ("500 MB", 500 * 10**6),
        (" 1.5kB ", 1500),
        ("0.25TB", 25 * 10**10),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "4XB", "4GBs", "1e3", "nan", "inf", "4,5GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert str(caught.value) == f"--memory: '{text}' is not a size; give bytes, or 500MB, 4GB"


@given(st.integers(0, 999 * 10**12))
def test_a_size_that_is_shown_can_be_given(size: int) -> None:
    assert parse(human(size)) == pytest.approx(size, rel=0.006)
    assert len(human(size)) <= len("1.23GB")


def test_what_is_too_large_is_refused_with_what_would_do() -> None:
    batches = batches_of(experiment("mlp", lr=MANY).grid.cohorts)
    with pytest.raises(UserError) as caught:
        check_memory(batches, "1MB")
    line = str(caught.value)
    assert line.startswith("--memory: a trial of gd vanilla needs ")
    assert ", more than 1MB; allow --memory " in line
    advised = re.findall(r"--memory (\S+),", line)
    assert len(advised) == 1
    check_memory(batches, advised[0])


@given(st.integers(1, 10**13))
def test_what_is_advised_is_enough(size: int) -> None:
    batches = batches_of(experiment("rosenbrock").grid.cohorts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "batch_memory", lambda *_: size)
        with pytest.raises(UserError, match="allow --memory") as caught:
            check_memory(batches, "0")
        (advised,) = re.findall(r"--memory (\S+),", str(caught.value))
        check_memory(batches, advised)


def test_half_of_what_is_free_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = batches_of(experiment("mlp").grid.cohorts)
    size = max(batch_memory(batch, examples_of(batch.trials[0])) for batch in batches)
    monkeypatch.setattr(estimate, "free", lambda: 2 * size)
    check_memory(batches, None)
    monkeypatch.setattr(estimate, "free", lambda: 2 * size - 2)
    with pytest.raises(UserError, match="more than"):
        check_memory(batches, None)


def test_no_number_of_trials_is_too_large_only_their_size() -> None:
    one = experiment("rosenbrock", lr="0.001")
    many = experiment("rosenbrock", lr=MANY, seed="0:40")
    size = max(
        batch_memory(batch, examples_of(batch.trials[0])) for batch in batches_of(many.grid.cohorts)
    )
    check_memory(batches_of(one.grid.cohorts), str(size))
    check_memory(batches_of(many.grid.cohorts), str(size))
    assert len(batches_of(many.grid.cohorts)) > 10


def test_larger_work_needs_more() -> None:
    mlp = {"hidden": "64"}
    assert needed("mlp", {"hidden": "640"}) > needed("mlp", mlp)
    assert needed("mlp", mlp, lr=MANY) > needed("mlp", mlp)
    assert needed("mlp", mlp, dtype="float64") > 1.5 * needed("mlp", mlp)
    often, seldom = (needed("mlp", mlp, record=each, steps="90000") for each in ("1", "1000"))
    assert often > seldom
    stochastic = {"method": "minibatch", "epochs": "1"}
    small, large = (needed("mlp", mlp, batch_size=size, **stochastic) for size in ("8", "900"))
    assert large > small


@pytest.mark.parametrize("method", ["gd", "minibatch"])
def test_a_batch_takes_no_more_than_is_counted(method: str) -> None:
    options = {"dataset": "synthetic", "examples": "2000", "features": "50"}
    made = experiment("linear-regression", options, lr=MANY, method=method, epochs="2", record="1")
    (batch,) = batches_of(made.grid.cohorts)
    data = examples_of(batch.trials[0])
    tracemalloc.start()  # NumPy tells it of every array
    try:
        train_batch(batch, data, "cpu", lambda _: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < batch_memory(batch, data) < 100 * peak


def test_the_reference_holds_one_trial_and_all_its_examples() -> None:
    small, large = ({"hidden": "8", "test_fraction": part} for part in ("0.5", "0.1"))
    sizes = []
    for options in (small, large):
        grid = experiment("mlp", options, lr=MANY).grid
        batches = batches_of(grid.cohorts, "reference")
        assert len(batches) == len(grid.trials)
        stacked, *_ = batches_of(grid.cohorts)
        data = examples_of(grid.trials[0])
        alone = batch_memory(batches[0], data)
        sizes.append(alone)
        assert alone < batch_memory(stacked, data)
    assert sizes[1] > sizes[0]


def test_free_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "MemTotal:  8000 kB\nMemAvailable:   1234 kB\nSwapFree: 0 kB\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert free() == 1234 * 1024


SECOND = ("memory.max", "memory.current", "inactive_file")
FIRST = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
GROUPS = [
    ("0::/job/step", "job", SECOND),
    ("9:name=systemd:/\n4:cpu,memory:/job/step\n0::/", "job/step", FIRST),
    ("0::/elsewhere", ".", SECOND),  # in a container
]


@pytest.mark.parametrize(("own", "where", "names"), GROUPS)
def test_a_control_group_s_limit_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, where: str, names: tuple[str, ...]
) -> None:
    limit, held, cached = names
    (tmp_path / "own").write_text(own, encoding="utf-8")
    root, kind = tmp_path / "groups", "0::" if names == SECOND else "memory"
    group = root / where
    (root / "job" / "step").mkdir(parents=True)
    (root / "job" / "step" / "memory.max").write_text("max", encoding="utf-8")
    monkeypatch.setattr(contents, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(contents, "GROUPS", {kind: (str(root), limit, held, cached)})
    before = free()
    (group / limit).write_text("5000000", encoding="utf-8")
    (group / held).write_text("3000000", encoding="utf-8")
    (group / "memory.stat").write_text(f"anon 7\n{cached} 1000000\n", encoding="utf-8")
    assert before > 5_000_000
    assert free() == 3_000_000
    (group / held).write_text("9000000", encoding="utf-8")
    assert free() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/self/statm")
def test_a_limit_of_the_address_space_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = held * resource.getpagesize() + 10**8
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert 0 < free() <= 10**8


def test_on_a_gpu_it_is_the_gpu_s_memory_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"left": 80_000, "whole": 100_000, "own": 0}
    info = lambda _: (held["left"], held["whole"])  # noqa: E731 -- as torch has it
    monkeypatch.setattr("torch.cuda.mem_get_info", info)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: held["own"])
    assert allowance(None, "cuda:0") == 75_000
    held |= {"left": 20_000, "own": 10_000}  # others use the rest
    assert allowance(None, "cuda:0") == 30_000
    assert allowance("7k", "cuda:0") == 7000
    (batch, *_) = batches_of(experiment("mlp", {"hidden": "3"}, lr=MANY).grid.cohorts)
    with pytest.raises(UserError, match=r"needs .*, more than 30kB; allow --memory") as caught:
        check_memory([batch], None, "cuda:0")
    assert "are free here" not in str(caught.value)


def test_a_gpu_computes_more_trials_at_a_time_and_it_is_counted() -> None:
    (batch, *_) = batches_of(experiment("cnn", {}, lr=MANY).grid.cohorts)
    data = examples_of(batch.trials[0])
    here, there = (batch_memory(batch, data, device) for device in ("cpu", "cuda:0"))
    assert there > here
    stacks = stacks_of(batch, data, here, "cuda:0")
    assert len(stacks) > 1
    assert all(batch_memory(stack, data, "cuda:0") <= here for stack in stacks)


@pytest.mark.parametrize("text", [None, "MemTotal: 8000 kB\n"])
def test_without_such_a_file_it_is_all_the_memory(
    monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    def read_text(*_: object, **__: object) -> str:
        if text is None:
            raise FileNotFoundError
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr("os.sysconf", sizes.__getitem__)
    assert free() == 4096000


@pytest.mark.parametrize(("optimizer", "numbers"), [("saga", 455 * 2), ("finito", 455 * 33)])
def test_a_memory_of_every_example_counts(optimizer: str, numbers: int) -> None:
    def needed(rule: str) -> int:
        given = experiment("logistic-regression", {}, method="sgd", optimizer=rule, lr="0.1")
        (batch,) = batches_of(given.grid.cohorts)
        return batch_memory(batch, examples_of(batch.trials[0]))

    more = needed(optimizer) - needed("adamw+ema")
    assert numbers * 8 < more < 40 * numbers * 8
