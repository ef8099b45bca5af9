"""Verifying a run: what is sound passes, whatever is changed is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.engine import examples
from gdcli.executors.execute import execute
from gdcli.measure import Column
from gdcli.runs import differences, manifest
from gdcli.runs.differences import CheckResult, Difference
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.verify import verify, verify_against
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.experiment.experiment import Experiment

CHECKS = ["manifest", "files", "experiment", "columns", "trials", "shards", "rerun"]


def bowls(lr: str = "0.02,0.1,3") -> Experiment:
    """Return an experiment of two batches: falling, oscillating and diverging losses."""
    return experiment("quadratic", optimizer="vanilla,momentum", lr=lr, seed="0:1", epochs="20")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run."""
    options = RunOptions(output=tmp_path_factory.mktemp("finished"), name="bowls")
    return execute(bowls(), options, Silent()).folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "bowls"))


def found(folder: Path, sample: int | None = None, seed: int = 0) -> dict[str, CheckResult]:
    """Verify a run; return the findings by check."""
    return {finding.check: finding for finding in verify(folder, sample, seed, Silent())}


def results(folder: Path) -> dict[str, str]:
    """Verify a run; return the result of every check that is not sound."""
    return {name: f.result for name, f in found(folder).items() if not f.sound}


def elsewhere(folder: Path) -> None:
    """Let a run say that another NumPy made it."""
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    content["fingerprint"]["numpy"] = "1.0"
    file.write_text(json.dumps(content))


def edited(file: Path, change: Callable[[str], str]) -> None:
    """Change a file of a run, and the manifest so that the checksums hold."""
    file.write_text(change(file.read_text()))
    statement = file.parent / "manifest.json"
    content = json.loads(statement.read_text())
    content["files"][file.name] = manifest._checksum(file)
    statement.write_text(json.dumps(content))
    shutil.rmtree(file.parent / ".gdcli", ignore_errors=True)  # it would tell at once


def cell(folder: Path, trial: int, row: int, column: str, change: Callable[[str], str]) -> str:
    """Change one cell of curves.csv, of the n-th trial and its n-th point; return the trial."""

    def changed(text: str) -> str:
        lines = [line.split(",") for line in text.splitlines()]
        trials = list(dict.fromkeys(line[0] for line in lines[1:]))
        points = [line for line in lines if line[0] == trials[trial]]
        place = lines[0].index(column)
        points[row][place] = change(points[row][place])
        chosen.append(trials[trial])
        return "".join(",".join(line) + "\n" for line in lines)

    chosen: list[str] = []
    edited(folder / "curves.csv", changed)
    return chosen[0]


def test_a_run_is_what_it_says(finished: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*")}
    findings = found(finished)
    assert list(findings) == CHECKS
    assert results(finished) == {}
    assert findings["rerun"].detail.startswith("12 trials: 12 byte for byte (")
    assert {file: file.stat().st_mtime_ns for file in finished.rglob("*")} == before


def test_the_tables_alone_can_be_verified(run: Path) -> None:
    shutil.rmtree(run / ".gdcli")
    findings = found(run)
    assert findings["shards"].result == "skipped"
    assert findings["rerun"].result == "same"


def test_a_sample_is_chosen_by_its_seed(finished: Path) -> None:
    details = {seed: found(finished, 1, seed)["rerun"].detail for seed in range(8)}
    assert all(detail.startswith("6 trials: 6 byte for byte") for detail in details.values())
    assert found(finished, 3)["rerun"].detail.startswith("12 trials")
    drawn = [found(finished, 1, seed)["rerun"] for seed in (0, 0)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("sample", [None, 1])
def test_the_first_difference_is_named(run: Path, sample: int | None) -> None:
    trial = cell(run, 1, 7, "grad_norm", lambda text: text + "1")
    other = cell(run, 4, 2, "train_loss", lambda _: "0.5")
    rerun = [found(run, sample, seed)["rerun"] for seed in range(8)]
    differing = [finding for finding in rerun if finding.result == "different"]
    assert differing, "every sample missed the batch"
    assert len(differing) == 8 or sample
    difference = differing[0].difference
    assert difference is not None
    assert difference.recorded == difference.found + "1"
    assert difference == Difference(
        "curves.csv", trial, "7", "grad_norm", difference.recorded, difference.found
    )
    assert f"2 of {12 if sample is None else 6} trials differ" in differing[0].detail
    assert str(difference) in differing[0].detail
    assert other != trial


def test_a_point_too_few_is_a_difference(run: Path) -> None:
    edited(run / "curves.csv", lambda text: text[: text[:-1].rindex("\n") + 1])
    difference = found(run)["rerun"].difference
    assert difference is not None
    assert (difference.column, difference.recorded) == ("step", "")
    assert difference.step == difference.found


def test_other_bytes_of_the_same_values_are_a_difference(run: Path) -> None:
    edited(run / "curves.csv", lambda text: text.replace(",vanilla,", ',"vanilla",'))
    rerun = found(run)["rerun"]
    assert rerun.result == "different"
    assert "6 of 12 trials differ" in rerun.detail
    assert rerun.difference is not None
    assert rerun.difference.column == "bytes"


def test_elsewhere_a_falling_loss_is_compared_by_tolerance(run: Path) -> None:
    trial = cell(run, 0, 9, "train_loss", lambda text: repr(float(text) * (1 + 1e-13)))
    assert results(run) == {"rerun": "different"}
    elsewhere(run)
    rerun = found(run)["rerun"]
    assert rerun.result == "same"
    assert "1 within 1e-10" in rerun.detail
    assert "numpy was 1.0 and is " in rerun.detail
    cell(run, 0, 9, "train_loss", lambda text: repr(float(text) * (1 - 1e-8)))
    rerun = found(run)["rerun"]
    assert rerun.result == "different"
    assert rerun.difference is not None
    assert (rerun.difference.trial, rerun.difference.step) == (trial, "9")


@pytest.mark.parametrize(
    ("column", "same", "other"), [("train", 1e-12, 1e-9), ("test", 1e-9, 1e-7)]
)
def test_elsewhere_a_test_loss_may_differ_by_more(
    column: str, same: float, other: float, tmp_path: Path
) -> None:
    options = RunOptions(output=tmp_path, name="lines")
    run = execute(experiment("linear-regression", lr="0.1", epochs="3"), options, Silent()).folder
    elsewhere(run)
    cell(run, 0, 1, f"{column}_loss", lambda text: repr(float(text) * (1 + same)))
    assert results(run) == {}
    cell(run, 0, 1, f"{column}_loss", lambda text: repr(float(text) * (1 + other)))
    assert results(run) == {"rerun": "different"}


def test_elsewhere_a_column_is_compared_as_it_is_declared(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(run)
    cell(run, 0, 9, "distance", lambda text: repr(float(text) * 1.2))
    assert results(run) == {}
    for rtol, result in ((0.5, {}), (0.01, {"rerun": "different"})):
        declared = {"distance": Column("distance", elsewhere="close", rtol=rtol)}
        monkeypatch.setattr("gdcli.runs.table._declared", lambda *_, d=declared: d)
        assert results(run) == result


def test_elsewhere_a_loss_that_rises_is_compared_in_its_start_and_status(run: Path) -> None:
    cell(run, -1, 2, "train_loss", lambda text: repr(float(text) * 2))
    elsewhere(run)
    rerun = found(run)["rerun"]
    assert rerun.result == "same"
    assert f"1 {differences.STATUS}" in rerun.detail
    cell(run, -1, 0, "train_loss", lambda text: repr(float(text) * (1 + 1e-8)))
    assert results(run) == {"rerun": "different"}


def test_elsewhere_the_status_must_be_the_same(run: Path) -> None:
    edited(run / "summary.csv", lambda text: text.replace(",diverged,", ",finished,"))
    elsewhere(run)
    difference = found(run)["rerun"].difference
    assert difference is not None
    assert (difference.column, difference.recorded, difference.found) == (
        *("status", "finished", "diverged"),
    )


@pytest.mark.parametrize(
    ("row", "column", "to"), [(0, "lr", "0.5"), (2, "seed", "7"), (2, "optimizer", "adam")]
)
def test_elsewhere_the_settings_of_a_line_must_be_the_same(
    run: Path, row: int, column: str, to: str
) -> None:
    trial = cell(run, -1, row, column, lambda _: to)
    elsewhere(run)
    difference = found(run)["rerun"].difference
    assert difference is not None
    assert (difference.table, difference.trial, difference.column, difference.recorded) == (
        *("curves.csv", trial, column, to),
    )


def test_elsewhere_points_in_another_order_are_found(run: Path) -> None:
    def turned(text: str) -> str:
        *lines, before, last, end = text.splitlines(keepends=True)
        return "".join([*lines, last, before, end])

    edited(run / "curves.csv", turned)
    elsewhere(run)
    difference = found(run)["rerun"].difference
    assert difference is not None
    assert (difference.table, difference.column) == ("curves.csv", "step")


@pytest.mark.parametrize("column", ["final_train_loss", "final_grad_norm", "steps"])
def test_elsewhere_the_two_tables_must_tell_the_same_end(run: Path, column: str) -> None:
    def changed(text: str) -> str:
        header, first, *rest = (line.split(",") for line in text.splitlines())
        first[header.index(column)] = "1"
        return "".join(",".join(line) + "\n" for line in (header, first, *rest))

    edited(run / "summary.csv", changed)
    elsewhere(run)
    difference = found(run)["rerun"].difference
    assert difference is not None
    assert (difference.table, difference.column) == ("summary.csv", column)


def test_a_gpu_that_is_not_here_is_stood_in_for(run: Path) -> None:
    file = run / "manifest.json"
    file.write_text(file.read_text().replace('"device": "cpu"', '"device": "cuda:97"'))
    rerun = found(run)["rerun"]
    assert rerun.result == "same"
    assert "device was cuda:97 and is cpu" in rerun.detail


@pytest.mark.parametrize("name", ["curves.csv", "summary.csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\n", b"trial\n", b'trial,"epoch', b"a,b\n1,2\n"])
def test_a_damaged_table_is_found(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    assert results(run)["files"] == "damaged"


def test_a_table_that_is_gone_is_found(run: Path) -> None:
    (run / "curves.csv").unlink()
    assert results(run)["files"] == "missing"


@pytest.mark.parametrize("keep", [0, 1, -1, -40])
def test_a_table_cut_short_is_found(run: Path, keep: int) -> None:
    text = (run / "summary.csv").read_text()
    (run / "summary.csv").write_text(text[:keep])
    found_there = results(run)
    assert found_there["files"] == "damaged"
    assert keep == -1 or {"trials", "rerun"} & set(found_there)


def test_trials_in_another_order_are_found(run: Path) -> None:
    def turned(text: str) -> str:
        header, *lines = text.splitlines(keepends=True)
        return "".join([header, *reversed(lines)])

    edited(run / "summary.csv", turned)
    assert results(run) == {"trials": "different"}
    assert found(run)["rerun"].result == "skipped"


def test_a_trial_in_two_places_is_found(run: Path) -> None:
    edited(run / "curves.csv", lambda text: text + text.splitlines(keepends=True)[1])
    assert results(run)["trials"] == "damaged"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"files": 3}', b'{"files": {}, "x": NaN}', b"\xff", b"[" * 9999]
)
def test_a_manifest_that_is_none_is_found(run: Path, content: bytes) -> None:
    (run / "manifest.json").write_bytes(content)
    assert results(run) == {"manifest": "damaged"}


def test_a_manifest_that_names_no_engine_is_found(run: Path) -> None:
    content = json.loads((run / "manifest.json").read_text())
    del content["engine"]
    (run / "manifest.json").write_text(json.dumps(content))
    assert results(run) == {"manifest": "damaged"}


def test_a_manifest_with_nan_is_no_strict_json(run: Path) -> None:
    file = run / "manifest.json"
    file.write_text(file.read_text().replace('"cores":', '"x": NaN, "cores":'))
    assert results(run) == {"manifest": "damaged"}


def test_an_unfinished_run_says_how_far_it_is(run: Path) -> None:
    (run / "manifest.json").unlink()
    (run / ".gdcli" / "shards" / "000001").unlink()
    finding = found(run)["manifest"]
    assert finding.result == "missing"
    assert "1 of 2 batches" in finding.detail


@pytest.mark.parametrize("damage", ["lost", "cut", "swapped", "spec", "foreign"])
def test_damaged_shards_are_found(run: Path, tmp_path: Path, damage: str) -> None:
    hidden = run / ".gdcli"
    first, second = sorted((hidden / "shards").iterdir())
    match damage:
        case "lost":
            first.unlink()
        case "cut":
            first.write_bytes(first.read_bytes()[:-1])
        case "swapped":
            first.write_bytes(second.read_bytes())
        case "spec":
            (hidden / "spec.json").write_text('{"x": NaN}')
        case "foreign":
            options = RunOptions(output=tmp_path, name="other")
            other = execute(bowls("0.3"), options, Silent()).folder
            shutil.rmtree(hidden)
            shutil.copytree(other / ".gdcli", hidden)
    assert list(results(run)) == ["shards"]


def test_tables_that_are_not_made_of_their_shards_are_found(run: Path) -> None:
    hidden = run.parent / "hidden"
    shutil.copytree(run / ".gdcli", hidden)
    edited(run / "curves.csv", lambda text: text.replace(",vanilla,", ',"vanilla",'))
    shutil.copytree(hidden, run / ".gdcli")
    assert results(run)["shards"] == "different"


def test_an_experiment_that_was_changed_is_found(run: Path) -> None:
    edited(run / "experiment.toml", lambda text: text.replace("0.02", "0.03"))
    assert results(run)["experiment"] == "different"
    edited(run / "experiment.toml", lambda text: text.replace("quadratic", "quadratc"))
    finding = found(run)["experiment"]
    assert finding.result == "damaged"
    assert "did you mean 'quadratic'?" in finding.detail


def test_data_that_changed_are_found(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("x,y\n1,2\n2,3\n3,5\n4,8\n")
    given = experiment("linear-regression", {"data": str(file), "target": "y"}, epochs="2")
    folder = execute(given, RunOptions(output=tmp_path, name="mine"), Silent()).folder
    file.write_text("x,y\n1,2\n2,3\n3,5\n4,9\n")
    examples.load.cache_clear()  # as if in a new process: within one, data are read once
    finding = found(folder)["rerun"]
    assert finding.result == "different"
    assert "the data are not those" in finding.detail


def against(folder: Path, other: Path, rtol: float = 0, atol: float = 0) -> dict[str, str]:
    """Compare two runs; return the results by check."""
    findings = verify_against(folder, other, rtol, atol)
    return {finding.check: finding.result for finding in findings}


def test_two_runs_are_compared_trial_by_trial(finished: Path, run: Path) -> None:
    same = {"files": "ok", "trials": "ok", "values": "same"}
    assert against(finished, run) == same
    cell(run, 2, 3, "train_loss", lambda text: repr(float(text) * (1 + 1e-6)))
    assert against(finished, run) == {**same, "values": "different"}
    assert against(finished, run, rtol=1e-7)["values"] == "different"
    assert against(finished, run, rtol=1e-5)["values"] == "same"
    assert against(finished, run, atol=1e9)["values"] == "same"


def test_the_trials_that_two_runs_share_are_compared(finished: Path, tmp_path: Path) -> None:
    given = experiment(
        "quadratic",
        vary={"condition": "10,20"},
        optimizer="momentum",
        lr="0.1,0.2",
        seed="1,0",
        epochs="20",
    )
    other = execute(given, RunOptions(output=tmp_path, name="other"), Silent()).folder
    *_, trials, values = verify_against(finished, other)
    assert trials.detail == "2 of both runs, 10 and 6 of one alone"
    assert trials.result == "different"
    assert (values.result, values.detail) == ("same", "2 trials are equal")


def test_a_damaged_run_is_not_compared_in_silence(finished: Path, run: Path) -> None:
    (run / "summary.csv").write_bytes(b"")
    found_there = against(finished, run)
    assert found_there["files"] == found_there["values"] == "damaged"
    (run / "manifest.json").unlink()
    assert against(run, finished) == {"manifest": "missing"}


def test_a_measure_that_one_run_alone_has_is_named(finished: Path, run: Path) -> None:
    edited(run / "curves.csv", lambda text: text.replace(",distance\n", ",height\n", 1))
    assert against(finished, run)["columns"] == "different"
