"""Reusing runs: what they hold is copied, the rest is trained, and the bytes are the same."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.engine.batch import TrialBatch, train_batch
from gdcli.errors import UserError
from gdcli.executors.execute import execute
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.others import reusing
from gdcli.runs.store import Shard, Store
from gdcli.runs.work import BatchRunner
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gdcli.experiment.experiment import Experiment

TABLES = ("curves.csv", "summary.csv")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the trials that are trained from here on."""
    ids: list[str] = []

    def noting(batch: TrialBatch, *arguments: Any) -> Any:
        ids.extend(trial.id for trial in batch.trials)
        return train_batch(batch, *arguments)

    monkeypatch.setattr("gdcli.runs.work.train_batch", noting)
    return ids


def run(given: Experiment, folder: Path, *reuse: str) -> dict[str, bytes]:
    """Run an experiment; return its tables."""
    options = RunOptions(output=folder.parent, name=folder.name, reuse=reuse)
    execute(given, options, Silent())
    return {name: (folder / name).read_bytes() for name in TABLES}


GRIDS: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "one more learning rate": (
        "linear-regression",
        {"method": "gd,minibatch", "lr": "0.01,1e3", "seed": "0:2", "epochs": "3"},
        {"method": "gd,minibatch", "lr": "0.1,0.01,1e3", "seed": "0:2", "epochs": "3"},
        6,
    ),
    "settings with columns of their own": (
        "quadratic",
        {"optimizer": "momentum", "vary": {"momentum.beta": "0.5,0.9"}, "epochs": "4"},
        {"optimizer": "momentum", "vary": {"condition": "10,2", "momentum.beta": "0.9"}},
        1,  # the condition is 10 by default, too
    ),
    "a network": (
        "mlp",
        {"lr": "0.1", "method": "minibatch", "optimizer": "adam,vanilla", "epochs": "2"},
        {"lr": "0.2,0.1", "method": "minibatch", "optimizer": "vanilla,adam", "epochs": "2"},
        2,
    ),
    "not what was not measured": (
        "rosenbrock",
        {"lr": "1e-3", "steps": "5"},
        {"lr": "1e-3", "steps": "5", "measure": "sharpness"},
        1,
    ),
    "what was measured": (
        "rosenbrock",
        {"lr": "1e-3", "steps": "5", "measure": "sharpness"},
        {"lr": "2e-3,1e-3", "steps": "5", "measure": "sharpness"},
        1,
    ),
    "all of it": ("quadratic", {"lr": "0.1,0.2,9", "seed": "0:2"}, {"lr": "9,0.2", "seed": "2"}, 0),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_bytes_are_those_of_computing_all(
    tmp_path: Path, trained: list[str], grid: tuple[str, dict[str, Any], dict[str, Any], int]
) -> None:
    problem, first, second, new = grid
    if problem == "quadratic":
        second = {**second, "epochs": first.get("epochs", "50")}
    run(experiment(problem, **first), tmp_path / "first")
    expected = run(experiment(problem, **second), tmp_path / "whole")
    trained.clear()
    assert run(experiment(problem, **second), tmp_path / "second", "first") == expected
    assert len(trained) == new
    manifests = [
        json.loads((tmp_path / n / "manifest.json").read_text()) for n in ("whole", "second")
    ]
    assert manifests[0]["trials"] == manifests[1]["trials"]


def bowls(lr: str) -> Experiment:
    """Return an experiment of two batches."""
    return experiment("quadratic", optimizer="vanilla,momentum", lr=lr, epochs="5")


def test_several_runs_and_unfinished_ones_can_be_reused(tmp_path: Path, trained: list[str]) -> None:
    run(bowls("0.1,0.2"), tmp_path / "a")
    (tmp_path / "a" / "manifest.json").unlink()
    (tmp_path / "a" / ".gdcli" / "shards" / "000001").unlink()
    run(bowls("0.3"), tmp_path / "b")
    expected = run(bowls("0.1,0.2,0.3"), tmp_path / "whole")
    trained.clear()
    found = run(bowls("0.1,0.2,0.3"), tmp_path / "new", "a", str(tmp_path / "b"))
    assert found == expected
    assert len(trained) == 2  # the trials of the shard that is lost


def test_each_batch_is_read_once_whatever_the_order(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gdcli.engine.batch.batch_limit", lambda _: 2)
    rates = [f"{0.01 * k:.2f}" for k in range(1, 9)]
    run(bowls(",".join(rates)), tmp_path / "a")
    mixed = bowls(",".join([*rates[::2], *rates[1::2]]))
    expected = run(mixed, tmp_path / "whole")
    read: list[int] = []

    def reading(store: Store, index: int) -> Shard | None:
        if store.folder == tmp_path / "a":
            read.append(index)
        return load(store, index)

    load = Store.load
    monkeypatch.setattr(Store, "load", reading)
    trained.clear()
    assert run(mixed, tmp_path / "new", "a") == expected
    assert not trained
    assert sorted(read) == list(range(8))


@pytest.mark.parametrize(
    ("took", "new"), [((1e-9, None), 2), ((1e6, None), 0), ((20.0, 1e-4), 2), ((20.0, 99.0), 0)]
)
def test_a_run_that_takes_longer_to_read_than_to_compute_is_left_alone(
    tmp_path: Path,
    trained: list[str],
    monkeypatch: pytest.MonkeyPatch,
    took: tuple[float, float | None],
    new: int,
) -> None:
    expected = run(bowls("0.1"), tmp_path / "a")
    monkeypatch.setattr("gdcli.runs.others.TRIAL", 1.0)  # two seconds
    monkeypatch.setattr("gdcli.runs.others.numpy_seconds", lambda _: took[0])
    # Where it is None it is not asked.
    monkeypatch.setattr("gdcli.runs.others.quick_estimate", lambda *_, **__: took[1])
    trained.clear()
    assert run(bowls("0.1"), tmp_path / "new", "a") == expected
    assert len(trained) == new


def test_a_damaged_shard_is_not_reused(tmp_path: Path, trained: list[str]) -> None:
    expected = run(bowls("0.1"), tmp_path / "a")
    for shard in (tmp_path / "a" / ".gdcli" / "shards").iterdir():
        shard.write_bytes(shard.read_bytes().replace(b"0", b"1", 1))
    trained.clear()
    assert run(bowls("0.1"), tmp_path / "new", "a") == expected
    assert len(trained) == 2


def test_trials_on_other_data_are_not_reused(tmp_path: Path, trained: list[str]) -> None:
    file = tmp_path / "data.csv"
    file.write_text("x,y\n1,2\n2,3\n3,5\n4,8\n")
    given = experiment("linear-regression", {"data": str(file), "target": "y"}, epochs="2")
    run(given, tmp_path / "a")
    spec = tmp_path / "a" / ".gdcli" / "spec.json"
    content = json.loads(spec.read_text())
    content["data"] = dict.fromkeys(content["data"], "0" * 64)
    spec.write_text(json.dumps(content))
    trained.clear()
    run(given, tmp_path / "new", "a")
    assert len(trained) == 1


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the spec of a run."""
    spec = folder / ".gdcli" / "spec.json"
    content = json.loads(spec.read_text())
    change(content)
    spec.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda spec: spec["fingerprint"].update(numpy="1.0"), "fingerprint.numpy 1.0 -> "),
        (lambda spec: spec.update(format=99), "is of format 99, and this gdcli reads 3"),
        (lambda spec: spec.pop("data"), "a/.gdcli/spec.json is damaged"),
        (lambda spec: spec["settings"].pop("vary"), "it says no experiment"),
        (lambda spec: spec["settings"]["grid"].update(lr=[0.7]), "gives? other trials"),
        (lambda spec: spec["settings"]["problem"].update(name="cubic"), "no problem 'cubic'"),
    ],
)
def test_a_run_that_cannot_be_reused_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], line: str
) -> None:
    run(bowls("0.1"), tmp_path / "a")
    changed(tmp_path / "a", change)
    with pytest.raises(UserError, match=line):
        run(bowls("0.1,0.2"), tmp_path / "new", "a")
    assert not (tmp_path / "new").exists()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    run(bowls("0.1"), tmp_path / "a")
    for name in ("", "nothing", str(tmp_path)):
        with pytest.raises(UserError, match="is not a run with its hidden folder"):
            run(bowls("0.2"), tmp_path / "new", name)
    shutil.rmtree(tmp_path / "a" / ".gdcli" / "shards")
    (tmp_path / "a" / ".gdcli" / "spec.json").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        run(bowls("0.2"), tmp_path / "new", "a")


def test_a_gpu_is_refused() -> None:
    work = BatchRunner((), (), "cuda:0")
    with pytest.raises(UserError, match="last digits depend on the others"):
        reusing(work, {}, RunOptions(reuse=("a",)), [])
