"""Runs on a real MLflow server, read back through it and from its database."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.errors import RunError, UserError
from tests.exports.mlflow_server import server
from tests.exports.odd_runs import HUGE, IDS, LABEL, MESSAGE, TINY, odd_run, partial_run, real_run

pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed: make test-export")

from gdcli.exports import to_mlflow
from gdcli.exports.to_mlflow import ToMlflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdcli.runs.folder import RunFolder

COMMAND = os.environ.get("MLFLOW_SERVER", "")
needs_server = pytest.mark.skipif(not COMMAND, reason="MLFLOW_SERVER is not set: make test-export")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a server's database."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def uri(database: Path) -> Iterator[str]:
    """Return the address of a server."""
    with server(COMMAND, database) as address:
        yield address


def client_of(uri: str) -> Any:
    """Return MLflow's own client; imported late, after the settings of `to_mlflow`."""
    from mlflow.tracking import MlflowClient  # noqa: PLC0415

    return MlflowClient(uri)


def named(run: RunFolder, name: str) -> RunFolder:
    """Give a run a name of its own: all tests share the server."""
    run.name = name
    return run


def logged(uri: str, name: str) -> dict[str, Any]:
    """Return the MLflow runs of an experiment by trial; each trial has one."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    found = {run.data.tags["gdcli.trial"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def history(uri: str, run: Any, name: str) -> list[tuple[int, float]]:
    """Return a metric's steps and values."""
    held = client_of(uri).get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in held)


@needs_server
def test_every_point_of_a_real_run_is_there(tmp_path: Path, uri: str) -> None:
    run = named(real_run(tmp_path), "real")
    assert ToMlflow().write(run, (), uri, overwrite=False) == []
    found = logged(uri, "real")
    for trial in run.records():
        held = found[trial.id]
        assert held.info.status == "FINISHED"
        assert held.info.run_name == f"gd vanilla lr={trial.settings['lr']} seed=0"
        assert held.data.params["lr"] == repr(trial.settings["lr"])
        assert held.data.tags["gdcli.status"] == trial.ends["status"] == "finished"
        assert held.data.metrics["best_train_loss"] == trial.ends["best_train_loss"]
        for name in ("train_loss", "grad_norm", "test_accuracy"):
            points = zip(trial.curve["step"], trial.curve[name], strict=True)
            assert history(uri, held, name) == list(points)


@needs_server
def test_nan_is_kept_and_inf_is_left_out_and_told(
    tmp_path: Path, uri: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (note,) = ToMlflow().write(named(odd_run(tmp_path / "odd"), "odd"), (), uri, overwrite=False)
    assert note == (
        "5 infinite values are left out, which MLflow has no number for: see the tags "
        "gdcli.left_out.*"
    )
    small, large, odd, failed = (logged(uri, "odd")[trial] for trial in IDS)
    assert history(uri, small, "train_loss") == [(0, 9.0), (1, 0.1), (2, TINY)]
    assert history(uri, large, "train_loss") == [(0, 9.0), (1, HUGE)]
    assert not capsys.readouterr().out  # where it would do its worst
    assert large.data.tags["gdcli.left_out.train_loss"] == "inf at step 2"
    assert odd.data.tags["gdcli.left_out.train_loss"] == "-inf at step 2"
    assert odd.data.params["seed"] == str(2**70)
    ((_, start), (_, middle)) = history(uri, odd, "train_loss")
    assert start == 9.0
    assert isnan(middle)
    assert small.data.params["data"] == LABEL
    assert failed.info.status == "FAILED"
    assert failed.data.tags["gdcli.message"] == MESSAGE
    with sqlite3.connect(database / "mlflow.db") as store:
        values = store.execute(
            "select value from metrics where run_uuid = ? and key = 'train_loss' and is_nan = 0",
            (large.info.run_id,),
        ).fetchall()
    store.close()
    assert sorted(values) == [(9.0,), (HUGE,)]  # MLflow's likeness of inf, 1.8e308, is not there


@needs_server
def test_a_curve_longer_than_a_request_is_there(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_mlflow, "MOST_METRICS", 2)
    monkeypatch.setattr(to_mlflow, "MOST_OTHERS", 3)
    ToMlflow().write(named(partial_run(tmp_path), "parts"), (), uri, overwrite=False)
    for held in logged(uri, "parts").values():
        assert len(held.data.params) == 6
        assert len(history(uri, held, "train_loss")) == len(history(uri, held, "grad_norm")) > 2


@needs_server
def test_a_second_export_adds_what_is_missing_and_nothing_twice(tmp_path: Path, uri: str) -> None:
    run = named(odd_run(tmp_path / "odd"), "twice")
    ToMlflow().write(run, IDS[:1], uri, overwrite=False)
    first = logged(uri, "twice")[IDS[0]]
    notes = ToMlflow().write(run, (), uri, overwrite=False)
    assert notes[0] == "1 trial was there already and left alone; --overwrite replaces them"
    found = logged(uri, "twice")
    assert sorted(found) == sorted(IDS)
    assert found[IDS[0]].info.run_id == first.info.run_id
    ToMlflow().write(run, IDS[:1], uri, overwrite=True)
    assert logged(uri, "twice")[IDS[0]].info.run_id != first.info.run_id


@needs_server
def test_what_an_interrupted_export_began_is_logged_anew(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = named(odd_run(tmp_path / "odd"), "interrupted")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.tracking.MlflowClient.set_terminated", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ToMlflow().write(run, (), uri, overwrite=False)
    monkeypatch.undo()
    assert [held.info.status for held in logged(uri, "interrupted").values()] == ["RUNNING"]
    ToMlflow().write(run, (), uri, overwrite=False)
    assert {held.info.status for held in logged(uri, "interrupted").values()} == {
        *("FINISHED", "FAILED"),
    }


@needs_server
def test_an_experiment_that_was_deleted_is_not_written_to(tmp_path: Path, uri: str) -> None:
    client = client_of(uri)
    identity = client.create_experiment("deleted")
    client.delete_experiment(identity)
    with pytest.raises(UserError, match=f"bring it back: mlflow experiments restore -x {identity}"):
        ToMlflow().write(named(odd_run(tmp_path / "odd"), "deleted"), (), uri, overwrite=True)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="--output: 'mlruns' is not an address of MLflow's; give http"
    ):
        ToMlflow().write(odd_run(tmp_path / "odd"), (), "mlruns", overwrite=False)


def test_a_folder_is_refused_as_mlflow_has_given_up_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'file:///x' is a folder, which MLflow .*; give http"):
        ToMlflow().write(odd_run(tmp_path / "odd"), (), "file:///x", overwrite=False)


@pytest.mark.parametrize("address", ["sqlite:///x.db", "postgresql+psycopg2://u@h/d"])
def test_a_database_is_refused_where_only_a_part_of_mlflow_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(to_mlflow, "find_spec", lambda name: {"sqlalchemy": None}[name])
    wanted = f"'{address}' is a database, for which all of MLflow is needed; pip install mlflow, or"
    with pytest.raises(UserError, match=re.escape(wanted)):
        ToMlflow().write(odd_run(tmp_path / "odd"), (), address, overwrite=False)


# With all of MLflow, which the server's Python has, and what is installed here for the rest.
WITH_ALL_OF_IT = """
import sys
sys.path += {path}
from gdcli.cli.app import main
sys.exit(main(["export", "odd", "--to", "mlflow", "-o", "sqlite:///mine.db"]))
"""


@needs_server
def test_a_database_without_a_server_is_written_where_all_of_mlflow_is(tmp_path: Path) -> None:
    odd_run(tmp_path / "odd")
    python = Path(COMMAND).with_name("python")
    done = subprocess.run(
        [python, "-c", WITH_ALL_OF_IT.format(path=[str(Path.cwd()), *sys.path])],
        cwd=tmp_path,
        env={n: v for n, v in os.environ.items() if n != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "4 trials are in sqlite:///mine.db"
    with sqlite3.connect(tmp_path / "mine.db") as store:
        trials = store.execute("select value from tags where key = 'gdcli.trial'").fetchall()
    store.close()
    assert sorted(trials) == sorted((trial,) for trial in IDS)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "odd://x"])
def test_a_server_that_is_not_there_is_one_line(tmp_path: Path, address: str) -> None:
    with pytest.raises(RunError, match=f"--output: {address}: MLflow says: ") as raised:
        ToMlflow().write(odd_run(tmp_path / "odd"), (), address, overwrite=False)
    assert len(raised.value.lines) == 1
    assert "\n" not in str(raised.value)
