"""Examples that stay on disk: what is learnt from them, and how much memory that takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.datasets import matrices, out_of_core
from gdcli.datasets.matrices import COPIES, FileInParts
from gdcli.datasets.out_of_core import OnDisk, Streamed
from gdcli.datasets.reading import Reading
from gdcli.datasets.tabular import Streamable
from gdcli.engine.batch import batches_of
from gdcli.engine.estimate import batch_memory, check_memory
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, floors_of, greatest_bound_of
from gdcli.errors import RunError, UserError
from gdcli.executors.execute import fitted
from gdcli.problems.svm import Svm
from tests.grids import Trained, experiment, only, train

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Array

ROWS, FEATURES = 300, 7
PROBLEMS = ["linear-regression", "logistic-regression", "huber", "poisson-regression", "svm"]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read some 40 examples at a time, so that there are several parts."""
    monkeypatch.setattr(out_of_core, "PART", 40 * (FEATURES + 1 + out_of_core.MADE))
    monkeypatch.setattr(matrices, "CELLS_AT_A_TIME", 50 * (FEATURES + 1))


def matrix() -> Array:
    """Return features of several sizes, and as the last column a target of 0 and 1."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, FEATURES)) * 10.0 ** np.arange(-3, 4) + np.arange(FEATURES)
    x[:, 2] = 5.0  # a constant column
    y = (x / 10.0 ** np.arange(-3, 4)).sum(axis=1) + rng.standard_normal(ROWS)
    return np.column_stack([x, y > np.median(y)])


def write(folder: Path, name: str) -> dict[str, str]:
    """Write the matrix, and return the options that name it."""
    file = folder / name
    if file.suffix == ".npy":
        np.save(file, np.asarray(matrix(), order="F" if "f" in name else "C"))
        return {"data": str(file), "target": str(FEATURES)}
    header = ",".join([*(f"x{i}" for i in range(FEATURES)), "y"])
    rows = ["\t".join(map(repr, row)) for row in matrix().tolist()]
    file.write_text("\n".join([header.replace(",", "\t"), *rows]))
    return {"data": str(file), "target": "y"}


def agree(found: dict[str, Trained], expected: dict[str, Trained]) -> None:
    """Assert that trials have the same curves, to rounding."""
    for run, other in zip(found.values(), expected.values(), strict=True):
        assert run.steps == other.steps
        assert run.values.keys() == other.values.keys()
        for name, values in other.values.items():
            scale = np.maximum(abs(values), 1e-3 * abs(values[0]))
            assert (abs(run.values[name] - values) <= 1e-10 * scale).all(), name


@pytest.mark.parametrize("name", ["c.npy", "f.npy", "t.csv"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_learnt_from_disk_is_what_is_learnt_in_memory(
    tmp_path: Path, problem: str, name: str
) -> None:
    given = write(tmp_path, name)
    grid: dict[str, Any] = {"method": "gd,sgd,minibatch", "optimizer": "vanilla,adam"}
    grid |= {"lr": "0.01,0.001", "seed": "0,1", "epochs": "2", "batch_size": "16"}
    for scale in ("standard", "minmax"):
        options = {**given, "scale": scale}
        streamed = train(problem, {**options, "stream": "true"}, **grid)
        agree(streamed, train(problem, {**options, "stream": "false"}, **grid))


def test_many_outputs_and_penalties_too(tmp_path: Path) -> None:
    given = {**write(tmp_path, "c.npy"), "l2": "0.3"}
    for problem in ("linear-regression", "logistic-regression"):
        grid = {"method": "gd,sgd", "lr": "0.01", "epochs": "3"}
        agree(train(problem, {**given, "stream": "true"}, **grid), train(problem, given, **grid))


def test_sharpness_is_measured_in_parts(tmp_path: Path) -> None:
    given = write(tmp_path, "c.npy")
    grid = {"lr": "0.01,0.1", "steps": "4", "record": "2", "measure": "sharpness"}
    for problem in ("linear-regression", "logistic-regression", "huber"):
        found, expected = (
            train(problem, {**given, "stream": stream}, **grid) for stream in ("true", "false")
        )
        for run, other in zip(found.values(), expected.values(), strict=True):
            sharpness = run.values["sharpness"]
            assert (sharpness > 0).all()
            np.testing.assert_allclose(sharpness, other.values["sharpness"], rtol=1e-6)


def test_without_a_test_part_or_scaling(tmp_path: Path) -> None:
    given = {**write(tmp_path, "c.npy"), "scale": "none", "test_fraction": "0"}
    grid = {"lr": "1e-8", "steps": "5", "record": "1"}
    whole, parts = (
        train("linear-regression", {**given, "stream": stream}, **grid)
        for stream in ("false", "true")
    )
    agree(parts, whole)
    assert "test_loss" not in only(parts).values


def test_on_torch_too(tmp_path: Path) -> None:
    given = {**write(tmp_path, "c.npy"), "stream": "true"}
    grid = {"method": "gd,minibatch", "lr": "0.01", "steps": "5"}
    stacked = train("huber", given, **grid)
    reference = train("huber", given, engine="reference", **grid)
    agree(stacked, reference)


def test_a_trial_alone_has_the_bits_it_has_in_a_grid(tmp_path: Path) -> None:
    given = {**write(tmp_path, "c.npy"), "stream": "true"}
    for problem in ("linear-regression", "logistic-regression"):
        grid = {"method": "gd,sgd,minibatch", "steps": "9", "record": "3"}
        together = train(problem, given, lr="0.001,1e30,0.01,0.003", seed="0:2", **grid)
        for key, run in train(problem, given, lr="0.01", seed="1", **grid).items():
            assert run.losses.tobytes() == together[key].losses.tobytes()


def trial(options: dict[str, str], problem: str = "linear-regression") -> Trial:
    return experiment(problem, options).grid.trials[0]


@pytest.mark.parametrize("problem", ["linear-regression", "logistic-regression"])
@pytest.mark.parametrize("l2", ["0", "0.5"])
def test_theory_knows_the_same(tmp_path: Path, problem: str, l2: str) -> None:
    given = {**write(tmp_path, "c.npy"), "l2": l2}
    found = [trial({**given, "stream": stream}, problem) for stream in ("true", "false")]
    (a, data), (b, whole) = ((t.problem, examples_of(t)) for t in found)
    one, other = family_of(a).theory.curvature(a, data), family_of(b).theory.curvature(b, whole)
    assert one is not None
    assert other is not None
    assert one.largest == pytest.approx(other.largest, rel=1e-10)
    assert one.smallest == pytest.approx(other.smallest, rel=1e-8, abs=1e-12)
    lowest, known = map(greatest_bound_of, found)
    assert lowest is not None
    assert known is not None
    assert lowest.loss == pytest.approx(known.loss, rel=1e-10, abs=1e-10)
    assert lowest.attained == known.attained
    spread, expected = family_of(a).theory.spread(a, data), family_of(b).theory.spread(b, whole)
    assert spread is not None
    assert expected is not None
    assert spread.ratio == pytest.approx(expected.ratio, rel=1e-10)


def test_a_floor_is_the_same(tmp_path: Path) -> None:
    given = write(tmp_path, "c.npy")
    floors = []
    for stream in ("true", "false"):
        grid = {"method": "minibatch", "batch_size": "7", "order": "replacement", "lr": "0.01"}
        options = {**given, "stream": stream}
        trials = experiment("linear-regression", options, **grid).grid.trials
        floors.append(floors_of(trials, examples_of(trials[0]))[0])
    assert floors[0].excess == pytest.approx(floors[1].excess, rel=1e-9)
    assert floors[0].excess > floors[0].mean > 0


def test_a_file_that_does_not_fit_is_not_read_whole_for_its_minimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gdcli.engine.families.known.MOST_STREAMED", 5)
    options = {**write(tmp_path, "f.npy"), "stream": "true", "l2": "0.25"}
    assert greatest_bound_of(trial(options, "logistic-regression")) is None


@pytest.mark.parametrize("name", ["c.npy", "f.npy", "t.csv"])
def test_examples_on_disk_are_indexed_like_an_array(tmp_path: Path, name: str) -> None:
    given = write(tmp_path, name)
    held = examples_of(trial({**given, "stream": "true"})).train["x"]
    whole = examples_of(trial({**given, "stream": "false"})).train["x"]
    assert isinstance(held, Streamed)
    assert (held.shape, len(held), held.size) == (whole.shape, len(whole), whole.size)
    for key in (np.array([[3, 200], [3, 0]]), np.array([1]), slice(1), slice(None)):
        np.testing.assert_allclose(held[key], whole[key], rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(np.asarray(held), held[:])
    np.testing.assert_array_equal(held.with_ones()[:4], np.column_stack([held[:4], np.ones(4)]))
    seen = np.concatenate([positions for positions, _ in held.parts()])
    assert sorted(seen) == list(range(len(held)))
    assert max(len(positions) for positions, _ in held.parts()) <= 40


def test_a_file_that_shrinks_under_the_run(tmp_path: Path) -> None:
    file = Path(write(tmp_path, "c.npy")["data"])
    features, _ = FileInParts(file, "0", Reading()).measured()
    assert isinstance(features, OnDisk)
    with file.open("r+b") as stream:
        stream.truncate(2000)
    with pytest.raises(RunError, match="row 299 is missing; the file has changed"):
        features.read(np.array([0, 299]))


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("t.csv", "a,y\n1,2\n2,x\n", "FILE:3: 'x' in column 'y' is not a number; correct it, t"),
        ("t.csv", "a,y\n1,2\n,3\n", "FILE:3: the value of column 'a' is missing; fill it in, take"),
        ("t.csv", "y\n1\n", "--data: FILE has no column besides 'y'; give a file with features"),
        ("t.csv", "a,b\n1,2\n", "--target: FILE has no column 'y'; its columns are a, b"),
        ("m.npy", [[1.0, 2.0], [3.0, np.inf]], "FILE: row 1, counted from 0, holds inf, which is "),
        (
            "m.npy",
            [[1.0], [2.0]],
            "--data: FILE has no column besides '0'; give a file with features",
        ),
        (
            "m.npy",
            [1.0, 2.0],
            "FILE: its array has the shape 2, so it holds no matrix of examples; give",
        ),
    ],
)
def test_what_is_wrong_is_told_as_of_a_file_read_whole(
    tmp_path: Path, name: str, content: Any, error: str
) -> None:
    file, target = tmp_path / name, "y" if name == "t.csv" else "0"
    if isinstance(content, str):
        file.write_text(content)
    else:
        np.save(file, np.array(content))
    for stream in ("true", "false"):
        given = {"data": str(file), "target": target, "stream": stream}
        with pytest.raises(UserError) as caught:
            examples_of(trial(given))
        assert str(caught.value).startswith(error.replace("FILE", str(file)))


def test_classes_of_a_file_that_stays_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,y\n" + "".join(f"{i},{'no' if i % 3 else 'yes'}\n" for i in range(200)))
    _, classes = FileInParts(file, "y", Reading()).classified()
    assert classes.places.tolist() == [0 if i % 3 else 1 for i in range(200)]
    file.write_text("a,y\n1,1\n2,2\n3,1.0\n")
    assert FileInParts(file, "y", Reading()).classified()[1].places.tolist() == [0, 1, 0]
    file.write_text("a,y\n" + "".join(f"{i},{i}\n" for i in range(20_000)))
    with pytest.raises(UserError, match=r"'y' has 1\d{4} different values, more than 1000"):
        FileInParts(file, "y", Reading()).classified()
    assert file.stat().st_size > 0


def test_size_and_memory_decide_and_never_the_grid(tmp_path: Path) -> None:
    given = write(tmp_path, "c.npy")
    size = 8 * COPIES * ROWS * (FEATURES + 1)
    for grid in ({}, {"lr": "0.1,0.2,0.3", "seed": "0:5"}):
        made = experiment("linear-regression", given, **grid)
        assert fitted(made, str(size)) == (made, "")
        changed, said = fitted(made, str(size - 1))
        assert [t.problem.stream for t in changed.grid.trials if isinstance(t.problem, Streamable)]
        assert changed.tables()["problem"]["stream"] is True
        assert said.endswith("it is read in parts (--stream)")
        assert fitted(changed, "1kB") == (changed, "")
    explicit = experiment("linear-regression", {**given, "stream": "false"})
    assert fitted(explicit, "1kB") == (explicit, "")
    named = experiment("linear-regression")
    assert fitted(named, "1kB") == (named, "")
    table = write(tmp_path, "t.csv")
    _, said = fitted(experiment("linear-regression", table), "10kB")
    assert said.endswith("it is read in parts (--stream); it becomes a temporary .npy file first")
    with pytest.raises(UserError, match=r"^--memory: .* or --stream the file$"):
        check_memory(batches_of(explicit.grid.cohorts), "1kB")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "--stream: there is no --data; give a .npy or CSV file, or leave it out"),
        (
            {"data": Path("a.npz"), "target": "y"},
            "--stream: 'a.npz' cannot be read in parts; give a .npy or CSV ",
        ),
    ],
)
def test_what_cannot_be_streamed(options: dict[str, Any], error: str) -> None:
    with pytest.raises(UserError) as caught:
        Svm(**options, stream=True)
    assert str(caught.value).startswith(error)


def test_the_reference_counts_all_examples(tmp_path: Path) -> None:
    made = experiment("linear-regression", {**write(tmp_path, "c.npy"), "stream": "true"})
    data = examples_of(made.grid.trials[0])
    reference, stacked = (
        batch_memory(batches_of(made.grid.cohorts, engine)[0], data)
        for engine in ("reference", "auto")
    )
    whole = 8 * 3 * ROWS * (FEATURES + 1)
    assert reference > whole
    assert stacked != reference


MEASURED = """
import sys
from pathlib import Path
from gdcli.__main__ import main
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    Path("peak").write_text(status.partition("VmHWM:")[2].split()[0])
"""


def gdcli(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a command in a folder; return the most bytes that were resident, and stderr."""
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return 1024 * int((folder / "peak").read_text()), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much was resident")
@pytest.mark.parametrize(
    ("problem", "method"),
    [("linear-regression", "gd,minibatch"), ("logistic-regression", "gd")],
)
def test_a_file_of_400_megabytes_in_100(tmp_path: Path, problem: str, method: str) -> None:
    """More than the interpreter and NumPy take, nothing near the file: a hole but for its start."""
    rows, columns = 500_000, 101
    file = tmp_path / "big.npy"
    held = np.lib.format.open_memmap(file, "w+", np.float64, (rows, columns))
    held[:1000] = np.random.default_rng(0).standard_normal((1000, columns))
    held[:1000, -1] = np.arange(1000) % 2
    del held
    bare, _ = gdcli(tmp_path, "run", "quadratic", "--name", "bare", "--quiet")
    grid = ["--method", method, "--steps", "2", "--record", "2", "--workers", "1"]
    given = ["--data", "big.npy", "--target", "100", "--memory", "100MB", "--name", "big"]
    peak, said = gdcli(tmp_path, "run", problem, *given, *grid)
    assert file.stat().st_size > 400 * 10**6
    assert peak - bare < 100 * 10**6
    assert "'big.npy' takes 1.21GB in memory, more than 100MB: it is read in parts" in said
    manifest = json.loads((tmp_path / "results/big/manifest.json").read_text())
    paths = [path for found in manifest["engine"]["paths"].values() for path in found]
    assert len(paths) == len(method.split(","))
    assert all(path.endswith("examples read from disk in parts") for path in paths)


def test_a_run_from_disk_is_resumed_shared_and_verified(tmp_path: Path) -> None:
    write(tmp_path, "t.csv")
    given = ["--data", "t.csv", "--target", "y", "--stream", "--name", "parts"]
    run = ["run", "linear-regression", *given, "--steps", "5", "--method", "gd,sgd"]
    gdcli(tmp_path, *run, "--dry-run")
    assert not (tmp_path / "results").exists()
    gdcli(tmp_path, *run, "--workers", "2")
    folder = tmp_path / "results" / "parts"
    assert "stream = true" in (folder / "experiment.toml").read_text()
    curves = (folder / "curves.csv").read_bytes()
    next((folder / ".gdcli").rglob("*000001*")).unlink()
    (folder / "manifest.json").unlink()
    gdcli(tmp_path, *run)  # goes on: its first batch is there
    assert (folder / "curves.csv").read_bytes() == curves
    gdcli(tmp_path, "verify", "parts")  # exit code 0: the same bytes
