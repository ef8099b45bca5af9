"""Runs as Parquet: typed columns, nan and inf as they are, null where nothing was measured."""

from __future__ import annotations

import json
from math import inf, isnan
from pathlib import Path

import pytest

from gdcli.errors import UserError
from gdcli.runs.csv_read import read_rows
from tests.exports.odd_runs import HUGE, IDS, LABEL, MESSAGE, TINY, odd_run, partial_run, real_run

pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed: make test-export")
from pyarrow import parquet

from gdcli.exports import to_parquet

TYPES = {"text": "string", "whole": "int64", "number": "double"}


def test_columns_have_types(tmp_path: Path) -> None:
    run = real_run(tmp_path)
    to_parquet.ToParquet().write(run, (), str(tmp_path / "out"), overwrite=False)
    curves = parquet.read_schema(tmp_path / "out/curves.parquet")
    summary = parquet.read_schema(tmp_path / "out/summary.parquet")
    for table, schema in (("curves.csv", curves), ("summary.csv", summary)):
        assert schema.names == next(read_rows(run.path / table)).cells
    texts = ["trial", "method", "optimizer", "schedule"]
    assert [n for n in curves.names if str(curves.field(n).type) == "string"] == texts
    whole = ["batch_size", "seed", "step", "examples"]
    assert [n for n in curves.names if str(curves.field(n).type) == "int64"] == whole
    assert str(summary.field("final_test_accuracy").type) == "double"
    about = json.loads(curves.metadata[b"gdcli"])
    assert (about["run"], about["state"], about["manifest"]) == ("net", "complete", run.manifest)


def test_values_are_those_of_the_csv(tmp_path: Path) -> None:
    run = real_run(tmp_path)
    to_parquet.ToParquet().write(run, (), str(tmp_path / "out"), overwrite=False)
    for name in ("curves", "summary"):
        _, *rows = read_rows(run.path / f"{name}.csv")
        table = parquet.read_table(tmp_path / f"out/{name}.parquet")
        for place, column in enumerate(table.columns):
            as_text = str(column.type) == "string"
            cells = [row.cells[place] for row in rows]
            wanted = [(c if as_text else float(c)) if c else None for c in cells]
            assert column.to_pylist() == wanted


def test_odd_numbers_and_labels_are_kept(tmp_path: Path) -> None:
    to_parquet.ToParquet().write(
        odd_run(tmp_path / "odd"), (), str(tmp_path / "out"), overwrite=False
    )
    curves = parquet.read_table(tmp_path / "out/curves.parquet").to_pydict()
    losses = curves["train_loss"]
    assert losses[:6] == [9.0, 0.1, TINY, 9.0, HUGE, inf]
    assert isnan(losses[7])
    assert losses[8] == -inf
    assert curves["grad_norm"] == [None] * 9
    assert curves["trial"] == [trial for trial in IDS[:3] for _ in range(3)]
    assert curves["seed"][-1] == str(2**70)  # as a text: 64 bits do not hold it
    summary = parquet.read_table(tmp_path / "out/summary.parquet").to_pydict()
    assert summary["data"] == [LABEL, "plain", "nan", "7"]
    assert summary["message"] == [None, None, None, MESSAGE]
    assert summary["steps"] == [2, 2, 2, None]


def test_many_rows_make_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_parquet, "ROWS", 5)
    to_parquet.ToParquet().write(
        odd_run(tmp_path / "odd"), (), str(tmp_path / "out"), overwrite=False
    )
    file = parquet.ParquetFile(tmp_path / "out/curves.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [5, 4]


def test_a_part_of_a_run_and_of_its_trials(tmp_path: Path) -> None:
    run = partial_run(tmp_path)
    to_parquet.ToParquet().write(run, (), str(tmp_path / "out"), overwrite=False)
    summary = parquet.read_table(tmp_path / "out/summary.parquet").to_pydict()
    assert summary["optimizer"] == ["vanilla"] * 4
    first = summary["trial"][0]
    with pytest.raises(UserError, match="is there already"):
        to_parquet.ToParquet().write(run, [first], str(tmp_path / "out"), overwrite=False)
    to_parquet.ToParquet().write(run, [first], str(tmp_path / "out"), overwrite=True)
    curves = parquet.read_table(tmp_path / "out/curves.parquet").to_pydict()
    assert set(curves["trial"]) == {first}
    assert len(curves["trial"]) == 5


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("a.parquet", "'a.parquet' names a file, and two are written; give a folder, such as a"),
        ("no/a", "'no/a' is in no folder that exists; give one in a folder that exists"),
        ("file", "'file' is a file; give a folder"),
    ],
)
def test_a_place_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(UserError) as raised:
        to_parquet.ToParquet().write(
            odd_run(tmp_path / "odd"), (), str(Path(output)), overwrite=True
        )
    assert str(raised.value) == f"--output: {error}"
