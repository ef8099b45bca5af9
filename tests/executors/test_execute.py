"""Running an experiment in its folder: once, again, interrupted, damaged, and gone wrong."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gdcli.catalog.catalog import name_of
from gdcli.errors import GdcliError, UserError
from gdcli.executors.execute import Outcome, execute
from gdcli.experiment import toml
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Grid
from gdcli.experiment.training import Training
from gdcli.problem import Analytic, Array, Batch, Data, Params
from gdcli.runs import atomic
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment, train_experiment

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("curves.csv", "summary.csv")
# From version 3.1 on pandas reads floats exactly, and deprecates the option.
EXACT: Any = {"float_precision": "round_trip"} if pd.__version__ < "3.1" else {}


@dataclass
class Counting:
    """Counts what is done, and stops at a call of `advance` if it is told to."""

    stop_at: int = 0
    total: int = 0
    calls: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    losses: list[float] = field(default_factory=list)
    running: bool = False
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def start(self, total: int) -> None:
        """Take the total."""
        self.total, self.running = total, True

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Count a call that tells of steps."""
        self.losses += [] if loss is None else [loss]
        self.calls += steps > 0
        self.steps[label] += steps
        if steps and self.calls == self.stop_at:
            raise KeyboardInterrupt

    def note(self, line: str) -> None:
        """Keep a line."""
        self.notes.append(line)

    def warn(self, line: str) -> None:
        """Keep a line."""
        self.warnings.append(line)

    def stop(self) -> None:
        """Take the end."""
        self.running = False


def run(given: Experiment, output: Path, **options: Any) -> Outcome:
    """Run an experiment in a folder of its own."""
    return execute(given, RunOptions(output=output, **options), Silent())


def tables(folder: Path) -> list[bytes]:
    """Return the bytes of the tables."""
    return [(folder / name).read_bytes() for name in TABLES]


def files(folder: Path) -> list[str]:
    """Return what a user sees in a folder, hidden files but .gdcli among them."""
    return sorted(entry.name for entry in folder.iterdir())


def frame(folder: Path, name: str) -> pd.DataFrame:
    """Return a table."""
    found: pd.DataFrame = pd.read_csv(folder / name, dtype={"trial": str, "message": str}, **EXACT)
    return found


@pytest.fixture(scope="module")
def given() -> Experiment:
    """Return an experiment of six cohorts, a batch each."""
    return experiment(
        "linear-regression",
        {"test_fraction": "0.5"},
        method="gd,sgd,minibatch",
        optimizer="vanilla,momentum",
        batch_size="64",
        lr="0.001,0.01,0.4",
        seed="0,1",
        epochs="3",
    )


@pytest.fixture(scope="module")
def whole(given: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return the outcome of the experiment, run without a break."""
    return run(given, tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_its_files(given: Experiment, whole: Outcome) -> None:
    assert whole.folder.name == f"linear-regression-{given.hash[:8]}"
    expected = [*TABLES, "experiment.toml", "manifest.json", "timings.csv", ".gdcli"]
    assert files(whole.folder) == sorted(expected)
    assert len(list((whole.folder / ".gdcli" / "shards").iterdir())) == whole.computed == 6
    assert whole.trials == 36
    assert whole.failed == 0
    timings = pd.read_csv(whole.folder / "timings.csv")
    assert timings["cohort"].tolist() == [cohort.name for cohort in given.grid.cohorts]
    assert timings["trials"].tolist() == [6] * 6
    assert (timings["seconds"] > 0).all()


def test_the_curves_are_what_the_engine_computes(given: Experiment, whole: Outcome) -> None:
    found = frame(whole.folder, "curves.csv")
    trained = train_experiment(given)
    assert found["trial"].drop_duplicates().tolist() == list(trained)
    for key, points in found.groupby("trial"):
        one = trained[str(key)]
        assert points["step"].tolist() == one.steps
        for name, values in one.values.items():  # noqa: PD011 -- a trial is no frame
            np.testing.assert_array_equal(points[name], values)
        settings = points[["method", "optimizer", "lr", "schedule", "seed"]].drop_duplicates()
        trial = one.trial
        names = (name_of(trial.optimizer), trial.lr, name_of(trial.schedule), trial.seed)
        assert settings.to_numpy().tolist() == [[trial.method, *names]]


def test_epochs_and_examples_count_what_was_seen(whole: Outcome) -> None:
    found = frame(whole.folder, "curves.csv")
    examples = 221  # half of diabetes
    sizes = found.groupby("method")["batch_size"].unique()
    assert {name: list(size) for name, size in sizes.items()} == {
        "gd": [examples],
        "minibatch": [64],
        "sgd": [1],
    }
    assert (found["examples"] == found["epoch"] * examples).all()
    steps = found["method"].map({"gd": 1, "sgd": examples, "minibatch": 4})
    assert (found["step"] == found["epoch"] * steps).all()


def test_the_summary_is_what_the_curves_say(given: Experiment, whole: Outcome) -> None:
    summary = frame(whole.folder, "summary.csv").set_index("trial")
    assert list(summary.index) == [trial.id for trial in given.grid.trials]
    curves = frame(whole.folder, "curves.csv").groupby("trial", sort=False)
    last = curves.last(skipna=False)
    for measure in ("train_loss", "grad_norm", "test_loss"):
        np.testing.assert_array_equal(summary[f"final_{measure}"], last[measure])
    for loss in ("train_loss", "test_loss"):
        np.testing.assert_array_equal(summary[f"best_{loss}"], curves[loss].min())
    assert summary["steps"].tolist() == last["step"].tolist()
    diverged = summary["status"] == "diverged"
    assert 0 < diverged.sum() == whole.diverged < 36
    ends = summary.loc[diverged, ["diverged_after", "diverged_at"]].to_numpy()
    assert (ends[:, 0] < ends[:, 1]).all()
    assert (ends[:, 1] <= last.loc[diverged, "step"]).all()
    assert summary.loc[~diverged, "diverged_at"].isna().all()
    assert (summary.loc[~diverged, "status"] == "finished").all()
    assert (last.loc[~diverged, "epoch"] == 3).all()
    start = curves["train_loss"].first()
    over = (last["train_loss"].abs() > 1e9 * start.clip(lower=1)) | ~np.isfinite(last["train_loss"])
    assert (over == diverged).all()
    assert summary["message"].isna().all()
    assert summary["steps_to_target"].isna().all()


def test_a_second_run_does_nothing(given: Experiment, whole: Outcome) -> None:
    before = {file: file.stat().st_mtime_ns for file in whole.folder.rglob("*")}
    progress = Counting()
    again = execute(given, RunOptions(output=whole.folder.parent), progress)
    assert again == Outcome(whole.folder, 36, 0, whole.diverged, computed=0, ready=True)
    assert progress.total == progress.calls == 0
    assert {file: file.stat().st_mtime_ns for file in whole.folder.rglob("*")} == before


def test_a_loss_is_told_before_the_first_step_and_names_the_problem(tmp_path: Path) -> None:
    progress = Counting()
    given = experiment("quadratic", lr="0.1,0.01", steps="5")
    folder = execute(given, RunOptions(output=tmp_path), progress).folder
    starts = pd.read_csv(folder / "summary.csv", **EXACT)["initial_train_loss"]
    assert progress.losses[0] == starts.min()
    assert set(progress.steps) == {"quadratic gd vanilla"}


@pytest.mark.parametrize("stop_at", [1, 5, 9, 17, 18])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    given: Experiment, whole: Outcome, tmp_path: Path, stop_at: int
) -> None:
    options, progress = RunOptions(output=tmp_path), Counting(stop_at)
    with pytest.raises(KeyboardInterrupt):
        execute(given, options, progress)
    assert not progress.running
    (folder,) = tmp_path.iterdir()
    assert files(folder) == [".gdcli"]
    resumed = Counting()
    outcome = execute(given, options, resumed)
    done = (stop_at - 1) // 3  # batches that were whole: each records three times
    assert outcome.computed == 6 - done
    assert tables(folder) == tables(whole.folder)
    assert resumed.total == sum(resumed.steps.values()) == 12 * 3 * (1 + 221 + 4)


@pytest.mark.parametrize("unwritten", [*TABLES, "experiment.toml", "timings.csv", "manifest.json"])
def test_a_run_stopped_while_it_writes_its_tables_goes_on(
    given: Experiment,
    whole: Outcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unwritten: str,
) -> None:
    write = atomic.write

    def stopped(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == unwritten:
            raise KeyboardInterrupt
        write(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(given, tmp_path)
    outcome = run(given, tmp_path)
    assert outcome.computed == 0
    assert tables(outcome.folder) == tables(whole.folder)
    assert files(outcome.folder) == files(whole.folder)


@pytest.fixture
def small() -> Experiment:
    """Return an experiment of two batches that takes no time."""
    return experiment("quadratic", optimizer="vanilla,momentum", lr="0.01,0.1,3", seed="0:2")


@pytest.mark.parametrize("damage", ["deleted", "cut", "flipped", "swapped"])
def test_a_damaged_shard_is_computed_anew(small: Experiment, tmp_path: Path, damage: str) -> None:
    first = run(small, tmp_path)
    expected = tables(first.folder)
    shard, other = sorted((first.folder / ".gdcli" / "shards").iterdir())
    content = shard.read_bytes()
    match damage:
        case "deleted":
            shard.unlink()
        case "cut":
            shard.write_bytes(content[:-1])
        case "flipped":
            shard.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "swapped":
            shard.write_bytes(other.read_bytes())
    assert run(small, tmp_path).computed == 0  # the results are there, and whole
    (first.folder / "manifest.json").unlink()
    again = run(small, tmp_path)
    assert again.computed == 1
    assert again == Outcome(first.folder, 18, 0, first.diverged, computed=1)
    assert tables(again.folder) == expected


@pytest.mark.parametrize("name", [*TABLES, "experiment.toml", "manifest.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"files": 3, "trials": 1}\n'])
def test_a_result_that_was_changed_is_written_anew(
    small: Experiment, tmp_path: Path, name: str, content: bytes | None
) -> None:
    first = run(small, tmp_path)
    expected = tables(first.folder)
    if content is None:
        (first.folder / name).unlink()
    else:
        (first.folder / name).write_bytes(content)
    again = run(small, tmp_path)
    assert again == Outcome(first.folder, 18, 0, first.diverged, computed=0)
    assert tables(again.folder) == expected
    assert files(again.folder) == files(first.folder)


def test_a_shard_lost_while_the_run_goes_on_is_an_error_that_says_what_to_do(
    small: Experiment, tmp_path: Path
) -> None:
    class Losing(Silent):
        def stop(self) -> None:
            for file in tmp_path.glob("*/.gdcli/shards/000000"):
                file.unlink()

    with pytest.raises(GdcliError, match=r"batch 0 was damaged .*; run the same command again"):
        execute(small, RunOptions(output=tmp_path), Losing())
    assert run(small, tmp_path).computed == 1


def test_another_experiment_in_the_folder_is_refused(small: Experiment, tmp_path: Path) -> None:
    first = run(small, tmp_path, name="mine")
    before = tables(first.folder)
    other = experiment("quadratic", optimizer="vanilla,momentum", lr="0.02", seed="0:2")
    with pytest.raises(UserError) as caught:
        run(other, tmp_path, name="mine")
    assert caught.value.where == "--name"
    assert "settings.grid.lr" in caught.value.what
    assert tables(first.folder) == before
    assert run(small, tmp_path, name="mine").computed == 0


def test_another_engine_in_the_folder_is_refused(tmp_path: Path) -> None:
    given = experiment("quadratic", lr="0.1,0.05", optimizer="vanilla,momentum", epochs="5")
    stacked = run(given, tmp_path)
    with pytest.raises(UserError, match="holds another run, which differs in engine") as caught:
        run(given, tmp_path, engine="reference")
    assert caught.value.where == "--name"
    plain = run(given, tmp_path, engine="reference", name="plain")
    assert (stacked.computed, plain.computed) == (2, 4)
    with pytest.raises(UserError, match="differs in engine"):
        run(given, tmp_path, name="plain")
    assert run(given, tmp_path, engine="reference", name="plain").computed == 0
    found, expected = (frame(outcome.folder, "curves.csv") for outcome in (plain, stacked))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-10)
    summaries = [frame(outcome.folder, "summary.csv") for outcome in (plain, stacked)]
    # The turn of the last step is not watched by the reference engine.
    found, expected = (summary.drop(columns="gradient_turn") for summary in summaries)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-10)


def test_the_manifest_says_which_engine_ran(
    whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = json.loads((whole.folder / "manifest.json").read_text())
    assert manifest["engine"]["asked"] == "auto"
    paths = manifest["engine"]["paths"]
    assert paths.keys() == set(frame(whole.folder, "timings.csv")["cohort"])
    assert paths["sgd momentum"] == ["least squares by its Hessian on NumPy, step by step"]
    assert paths["sgd vanilla"] == ["least squares by its Hessian on NumPy, sixteen steps at once"]
    given = experiment("quadratic", lr="0.1,0.05", epochs="2")
    outcome = run(given, tmp_path, engine="reference")
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert manifest["engine"] == {
        "asked": "reference",
        "paths": {"gd vanilla": ["reference: autograd on torch, one trial at a time"]},
    }
    assert "torch" in manifest["fingerprint"]
    # Tables that were lost are written anew from the shards: what ran is known all the same.
    (outcome.folder / "manifest.json").unlink()
    monkeypatch.setattr("gdcli.runs.work.train_batch", None)
    assert run(given, tmp_path, engine="reference").computed == 0
    again = json.loads((outcome.folder / "manifest.json").read_text())
    assert again["engine"] == manifest["engine"]


def test_where_all_trials_fail_nothing_ran(tmp_path: Path) -> None:
    outcome = run(fragile(1e9), tmp_path)
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert manifest["engine"]["paths"] == {"gd vanilla": []}


def test_overwriting_starts_again(small: Experiment, tmp_path: Path) -> None:
    first = run(small, tmp_path, name="mine")
    other = experiment("quadratic", lr="0.02")
    second = run(other, tmp_path, name="mine", overwrite=True)
    assert (second.trials, second.computed) == (1, 1)
    assert frame(second.folder, "summary.csv")["lr"].tolist() == [0.02]
    again = run(other, tmp_path, name="mine", overwrite=True)
    assert again.computed == 1
    assert files(first.folder) == sorted(
        [*TABLES, "experiment.toml", "manifest.json", "timings.csv", ".gdcli"]
    )


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_holds_no_run_is_refused(
    small: Experiment,
    tmp_path: Path,
    overwrite: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        run(small, tmp_path, name="mine", overwrite=overwrite)
    assert files(tmp_path / "mine") == ["notes.txt"]


def test_data_that_changed_is_another_run(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("x,y\n1,2\n2,3\n3,5\n4,8\n")
    given = experiment("linear-regression", {"data": str(file), "target": "y"}, epochs="2")
    before = tables(run(given, tmp_path, name="mine").folder)
    file.write_text("x,y\n1,2\n2,3\n3,5\n4,9\n")
    # As if in a new process: within one, data are read once.
    examples = pytest.importorskip("gdcli.engine.examples")
    examples.load.cache_clear()
    with pytest.raises(UserError, match="holds another run, which differs in data"):
        run(given, tmp_path, name="mine")
    assert tables(tmp_path / "mine") == before


MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a batch larger than the data": (
        {"method": "minibatch", "batch_size": "355"},
        {},
        "--batch-size: 355 is larger than the 354 training examples",
    ),
    "one of several batches larger than the data": (
        {"method": "minibatch", "batch_size": "8,355"},
        {},
        "--batch-size: 355 is larger than the 354 training examples",
    ),
    "too little memory": ({}, {"memory": "10kB"}, "--memory: a trial of gd vanilla needs"),
    "no size": ({}, {"memory": "much"}, "--memory: 'much' is not a size"),
    "no device": ({}, {"device": "gpu"}, "--device: 'gpu' is not a device"),
    "a device that is not there": ({}, {"device": "cuda:99"}, "--device: cuda:99 is not there"),
    "too many points": (
        {"method": "sgd", "epochs": "100000", "record": "step"},
        {},
        "--record: step records 35400001 points",
    ),
}


@pytest.mark.parametrize(("grid", "options", "line"), MISTAKES.values(), ids=MISTAKES)
def test_nothing_is_written_when_the_user_erred(
    tmp_path: Path, grid: dict[str, Any], options: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        run(experiment("linear-regression", **grid), tmp_path / "results", **options)
    assert str(caught.value).startswith(line)
    assert files(tmp_path) == []


@dataclass(frozen=True)
class Fragile(Analytic):
    """A bowl whose gradient cannot be had far from its middle."""

    limit: float = 1e3

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return a point around 1, 1."""
        return {"point": 1 + 0.1 * rng.standard_normal(2)}

    def value(self, point: Array, batch: Batch) -> Array:
        """Return half the squared distance from 0."""
        return 0.5 * (point * point).sum(-2)

    def gradient(self, point: Array, batch: Batch) -> Array:
        """Return the point; raises ValueError where it is too far out."""
        if abs(point).max() > self.limit:
            raise ValueError('"too far",\nat once')
        return point


def fragile(*rates: float) -> Experiment:
    """Return an experiment of the fragile bowl."""
    training = Training(steps=5)
    axes = Axes(lr=rates, seed=(0, 1))
    return Experiment("fragile", Grid(Fragile, {}, axes, {}, (), training))


def test_a_trial_that_raises_fails_and_the_others_do_not_notice(tmp_path: Path) -> None:
    outcome = run(fragile(0.1, 1e9, 0.5), tmp_path)
    assert outcome == Outcome(outcome.folder, 6, failed=2, diverged=0, computed=1)
    summary = frame(outcome.folder, "summary.csv")
    assert summary["lr"].tolist() == [0.1, 0.1, 1e9, 1e9, 0.5, 0.5]
    failed = summary["lr"] == 1e9
    assert summary["status"].tolist() == ["finished"] * 2 + ["failed"] * 2 + ["finished"] * 2
    # One line, however many the exception has.
    message = r'ValueError: "too far",\nat once'
    assert summary.loc[failed, "message"].tolist() == [message] * 2
    empty = summary.columns[list(summary.columns).index("stopped_by") : -1]
    assert summary.loc[failed, list(empty)].isna().all(axis=None)
    assert summary.loc[~failed, "message"].isna().all()
    curves = frame(outcome.folder, "curves.csv")
    assert set(curves["lr"]) == {0.1, 0.5}
    # The same bytes as where nothing fails.
    sound = run(fragile(0.1, 0.5), tmp_path)
    assert sound.failed == 0
    assert (sound.folder / "curves.csv").read_bytes() == (
        outcome.folder / "curves.csv"
    ).read_bytes()
    lines = (outcome.folder / "summary.csv").read_bytes().splitlines(keepends=True)
    kept = b"".join(line for line in lines if b",failed," not in line)
    assert kept == (sound.folder / "summary.csv").read_bytes()
    # Its failure is a result, too.
    assert run(fragile(0.1, 1e9, 0.5), tmp_path) == Outcome(
        outcome.folder, 6, 2, 0, computed=0, ready=True
    )


def test_all_trials_may_fail(tmp_path: Path) -> None:
    outcome = run(fragile(1e9), tmp_path)
    assert (outcome.trials, outcome.failed) == (2, 2)
    assert (outcome.folder / "curves.csv").read_bytes().count(b"\n") == 1
    assert frame(outcome.folder, "summary.csv")["status"].tolist() == ["failed", "failed"]


def test_a_user_error_of_a_problem_is_no_failure_of_a_trial(
    small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise UserError("--lr", "it is odd", "give an even one")

    monkeypatch.setattr("gdcli.problems.quadratic.Quadratic.gradient", refuse)
    with pytest.raises(UserError, match="it is odd"):
        run(small, tmp_path)


def test_only_a_trial_that_left_its_bounds_counts_as_diverged(tmp_path: Path) -> None:
    # 2 / 10 is the limit: at 0.21 the loss rises by a fifth a step, short of 1e9 times.
    outcome = run(experiment("quadratic", lr="0.21,3", epochs="40"), tmp_path)
    summary = frame(outcome.folder, "summary.csv")
    assert summary["status"].tolist() == ["finished", "diverged"]
    assert summary["diverged_by"].fillna("").tolist() == ["", "growth"]
    assert outcome.diverged == 1
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert manifest["trials"] == {"all": 2, "failed": 0, "diverged": 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_target_read_off_a_curve_is_reached_where_it_stood(tmp_path: Path, dtype: str) -> None:
    problem = ("mlp", {"dataset": "iris", "hidden": "4"})
    grid: dict[str, Any] = {"lr": "0.1,0.01,1e30", "epochs": "30", "dtype": dtype}
    free = run(experiment(*problem, **grid), tmp_path)
    text = pd.read_csv(free.folder / "curves.csv", dtype=str)
    fastest = text[text["lr"] == "0.1"].reset_index()
    target = str(fastest.loc[20, "train_loss"])
    outcome = run(experiment(*problem, target_loss=target, **grid), tmp_path)
    summary = frame(outcome.folder, "summary.csv")
    assert summary["steps"].tolist()[:2] == [20, 30]
    np.testing.assert_array_equal(summary["steps_to_target"], [20, np.nan, np.nan])
    assert summary["status"].tolist() == ["finished", "finished", "diverged"]
    assert summary["stopped_by"].fillna("").tolist() == ["target", "", ""]
    curves = frame(outcome.folder, "curves.csv")
    losses = curves[curves["lr"] == 0.1]["train_loss"]
    assert (losses.iloc[:-1] > float(target)).all()


def test_the_manifest_is_strict_json_and_vouches_for_the_files(
    given: Experiment, whole: Outcome
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (whole.folder / "manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text, parse_constant=refuse)
    assert set(manifest["files"]) == {*TABLES, "experiment.toml"}
    for name, held in manifest["files"].items():
        content = (whole.folder / name).read_bytes()
        assert held == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["experiment"]["problem"] == "linear-regression"
    assert manifest["experiment"]["hash"] == given.hash
    assert manifest["trials"] == {"all": 36, "failed": 0, "diverged": whole.diverged}
    assert manifest["fingerprint"]["numpy"] == np.__version__
    assert manifest["fingerprint"]["device"] == "cpu"
    assert "torch" not in manifest["fingerprint"]
    (checksum,) = manifest["data"].values()
    assert len(checksum) == 64
    assert manifest["equivalent"].startswith("gdcli run linear-regression ")


def test_what_a_network_depends_on_is_in_the_fingerprint(tmp_path: Path) -> None:
    given = experiment("mlp", {"dataset": "iris", "hidden": "2"}, epochs="1")
    outcome = run(given, tmp_path)
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert {"torch", "torch_simd", "mkl_cbwr"} <= set(manifest["fingerprint"])


@pytest.mark.parametrize("threads", ["1", "4,2", ""])
def test_the_threads_that_were_asked_for_are_in_the_fingerprint(
    small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    outcome = run(small, tmp_path)
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert manifest["fingerprint"]["threads"] == threads


def test_the_experiment_file_says_the_same_experiment(given: Experiment, whole: Outcome) -> None:
    again = toml.load(whole.folder / "experiment.toml")
    assert again.hash == given.hash
    assert again.tables() == given.tables()


def test_tables_do_not_tell_when_or_where(
    whole: Outcome, tmp_path: Path, given: Experiment
) -> None:
    elsewhere = run(given, tmp_path / "deep" / "er", name="Ünïcode name")
    assert tables(elsewhere.folder) == tables(whole.folder)


def test_a_problem_varied_is_a_data_set_each(tmp_path: Path) -> None:
    given = experiment(
        "quadratic",
        {"examples": "20"},
        vary={"noise": "0.5,1", "condition": "2"},
        method="gd,sgd",
        epochs="2",
    )
    outcome = run(given, tmp_path)
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert len(set(manifest["data"].values())) == len(manifest["data"]) == 2
    curves = frame(outcome.folder, "curves.csv")
    assert curves[["noise", "condition"]].drop_duplicates().to_numpy().tolist() == [
        [0.5, 2.0],
        [1.0, 2.0],
    ]


def test_the_same_trials_said_differently_are_the_same_run(tmp_path: Path) -> None:
    options = RunOptions(output=tmp_path)
    first = execute(experiment("quadratic", lr="0.1"), options, Silent())
    said = experiment("quadratic", {"dim": "2"}, lr="0.1", batch_size="64", epochs="50")
    again = execute(said, options, Silent())
    assert again.folder == first.folder
    assert again.computed == 0
