"""Examples are called as the user calls them: every row of these files holds its own place."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gdcli.datasets.described import Described, described
from gdcli.datasets.matrices import LARGE
from gdcli.engine.examples import examples_of
from gdcli.report.console import console
from gdcli.runs.options import Silent
from gdcli.studies.explore import page
from gdcli.studies.explore.dynamics import Exploration, explore, labels_of
from gdcli.studies.explore.files import read_explored, write
from gdcli.studies.explore.show import examples_csv, print_exploration, tables_of
from gdcli.studies.options import Compute, DataMap
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU = Compute(device="cpu")
KINDS = ("setosa", "=SUM(1)", "vir, ginica")
OWN_LOAD = '''"""A network of one's own on a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from gdcli.datasets.images import Classified
from gdcli.problem import Data, Network


@dataclass(frozen=True)
class MyNet(Network, Classified):
    """Two layers."""

    turn: bool = False
    other: str = ""

    def load(self, rng: np.random.Generator) -> Data:
        if self.other:  # what it learns from is named by another option
            return replace(self, target=self.other, other="").load(rng)
        data = self.load_classes(rng)
        if not self.turn:
            return data
        return replace(data, train={name: array[::-1] for name, array in data.train.items()})

    def module(self, data: Data) -> nn.Module:
        return nn.Sequential(nn.Linear(data.train["x"].shape[1], 3))
'''


def lines_of(rows: int, end: str = "\n", above: str = "") -> str:
    """Return a file whose column `line` has the line on which a row begins, `kind` its class.

    Some cells hold line breaks and quotes, some rows miss a value; blank lines and comments are
    among them.
    """
    drawn, text = np.random.default_rng(rows), io.StringIO(newline="")
    text.write(above.replace("\n", end) + f"a,b,note,line,kind{end}")
    writer = csv.writer(text, lineterminator=end)
    for row in range(rows):
        if row % 7 == 3:
            text.write(f"{end}  {end}" if row % 2 else f"# no row, said{end}")
        line = 1 + text.getvalue().count(end)
        note = f'two{end}lines, "{row % 2}"' if row % 5 == 0 else "one"
        b = "" if row % 11 == 7 else f"{4 * (row % 3 == 1) + drawn.normal(0, 1):.3f}"
        writer.writerow(
            [f"{4 * (row % 3 == 2) + drawn.normal(0, 1):.3f}", b, note, line, KINDS[row % 3]]
        )
    return text.getvalue()


def called(
    data: Path, target: str = "kind", problem: str = "softmax-regression", **options: str
) -> tuple[Described, dict[str, np.ndarray], np.ndarray]:
    """Return what the training examples of a file are called, the examples, and their classes."""
    given = {"data": str(data), "target": target, "scale": "none", **options}
    (trial,) = experiment(problem, given).grid.trials
    held = examples_of(trial)
    labels = labels_of(trial, held)
    targets = held.train["y"].ravel() if labels is None else labels
    return described(trial.problem, held, targets), held.train, targets


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "t.csv": bytes,
    "t.csv.gz": gzip.compress,
    "t": bz2.compress,
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_row_of_text_is_called_by_its_line(
    name: str, end: str, seed: int, tmp_path: Path
) -> None:
    text = lines_of(60, end)
    (tmp_path / name).write_bytes(PACKED[name](text.encode()))
    read = {"missing": "drop", "categorical": "note", "comment": "#"}
    given = {"data": str(tmp_path / name), "target": "kind", "scale": "none", **read}
    (trial,) = experiment("softmax-regression", given, data_seed=str(seed)).grid.trials
    held = examples_of(trial)
    labels = labels_of(trial, held)
    assert labels is not None
    found = described(trial.problem, held, labels)
    assert found.counted == "line"
    assert found.features[:2] == ("a", "b")
    assert found.features[-1] == "line"
    assert all(feature.startswith("note=") for feature in found.features[2:-1])
    assert found.rows == tuple(held.train["x"][:, -1].astype(int).tolist())
    whole = text.split(end)
    for row, label in zip(found.rows, labels, strict=True):
        assert f",{row}," in end.join(whole[row - 1 : row + 1])
        assert found.classes[label] in end.join(whole[row - 1 : row + 1])


@pytest.mark.parametrize(
    ("above", "options"),
    [
        ("made by hand\n\nin 2024\n", {"skip_rows": "3"}),
        ("# made by hand\n# units: cm\n", {}),
        ("\n\n", {}),
        ("sep=,\n", {}),
    ],
)
def test_what_stands_above_the_rows_counts(
    above: str, options: dict[str, str], tmp_path: Path
) -> None:
    rows = range(30)
    first = above.count("\n") + 2
    text = "".join(f"{r / 7},{r + first},{'pq'[r % 2]}\n" for r in rows)
    (tmp_path / "t.csv").write_text(f"{above}a,line,kind\n{text}")
    found, train, labels = called(tmp_path / "t.csv", **options)
    assert found.rows == tuple(train["x"][:, 1].astype(int).tolist())
    assert found.classes == ("p", "q")
    assert all((row - first) % 2 == label for row, label in zip(found.rows, labels, strict=True))


def test_without_a_header_the_first_row_is_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "t.data").write_text("".join(f"{r / 7},{r},{'pq'[r % 2]}\n" for r in range(1, 31)))
    found, train, _ = called(tmp_path / "t.data", "2", header="false")
    assert found.rows == tuple(train["x"][:, 1].astype(int).tolist())
    assert found.features == ("0", "1")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("target", ["kind", "a"])
@pytest.mark.parametrize("odd", [False, True])
def test_a_large_file_has_its_lines_too(
    stream: bool,  # noqa: FBT001 -- a case
    target: str,
    odd: bool,  # noqa: FBT001 -- a case
    tmp_path: Path,
) -> None:
    """Read by pandas, or, where something in it is odd, as text; whole, or in parts."""
    lines = ["a,line,c,kind"]
    while sum(map(len, lines[:100])) * len(lines) / 100 < 1.2 * LARGE:
        if len(lines) % 1000 == 17:
            lines += ["", "   "]
        lines.append(f"0.{len(lines) * 7919 % 10007},{len(lines) + 1},{1e-3:.40f},{len(lines) % 2}")
    if odd:
        lines[500] = lines[500].replace("0.001", '"0.001', 1).replace("0,", '0",', 1)
        lines[500] = f'0.5,501,"0.25",{500 % 2}'
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert (tmp_path / "t.csv").stat().st_size > LARGE
    problem = "logistic-regression" if target == "kind" else "linear-regression"
    options = {"stream": "true"} if stream else {}
    found, train, _ = called(tmp_path / "t.csv", target, problem, **options)
    place = found.features.index("line")
    assert found.rows == tuple(np.asarray(train["x"])[:, place].astype(int).tolist())
    assert found.classes == (("0", "1") if target == "kind" else ())


def frame(rows: int = 40) -> pd.DataFrame:
    """Return a table whose column `place` counts the rows from 0."""
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=rows), "place": np.arange(rows)}
    return pd.DataFrame(columns).assign(kind=[KINDS[i % 3] for i in range(rows)])


def test_parquet_counts_rows_from_0_whatever_its_index(tmp_path: Path) -> None:
    table = frame()
    table.loc[[3, 11], "a"] = np.nan
    table.set_index(np.arange(100, 140)).to_parquet(tmp_path / "t.bin")
    found, train, labels = called(tmp_path / "t.bin", missing="drop")
    assert (found.counted, found.features) == ("row_from_0", ("a", "place"))
    assert found.rows == tuple(train["x"][:, 1].astype(int).tolist())
    assert [found.classes[i] for i in labels] == [KINDS[row % 3] for row in found.rows]
    assert not {3, 11} & {*found.rows}


def test_a_workbook_counts_the_rows_of_its_sheet(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append([])
    book.active.append(["a", "row", "kind"])
    for row in range(3, 40):
        book.active.append([row / 7, row, f"kind {row % 3}"])
    book.save(tmp_path / "t.xlsx")
    found, train, _ = called(tmp_path / "t.xlsx")
    assert found.counted == "sheet_row"
    assert found.rows == tuple(train["x"][:, 1].astype(int).tolist())


def test_arrays_count_rows_from_0_and_name_their_numbers(tmp_path: Path) -> None:
    table = frame()
    table.loc[5, "a"] = np.nan
    both = table[["a", "place"]].to_numpy()
    np.savez(tmp_path / "t.npz", x=both, kind=table.kind.to_numpy().astype("U"))
    found, train, _ = called(tmp_path / "t.npz", missing="drop")
    assert (found.counted, found.features) == ("row_from_0", ("x[0]", "x[1]"))
    assert found.rows == tuple(train["x"][:, 1].astype(int).tolist())
    np.save(tmp_path / "t.npy", np.column_stack([table.place, table.place % 2, both[:, 1]]))
    for stream in ({}, {"stream": "true"}):
        found, train, _ = called(tmp_path / "t.npy", "1", "logistic-regression", **stream)
        assert (found.counted, found.features) == ("row_from_0", ("0", "2"))
        assert found.rows == tuple(np.asarray(train["x"])[:, 0].astype(int).tolist())
        assert found.classes == ("0", "1")


def test_images_of_a_file_count_from_0(tmp_path: Path) -> None:
    images = np.arange(30)[:, None, None] * np.ones((30, 8, 8))
    kinds = np.array([KINDS[i % 3] for i in range(30)])
    np.savez(tmp_path / "t.npz", images=images, kind=kinds)
    options = {"data": str(tmp_path / "t.npz"), "target": "kind", "examples": "20"}
    (trial,) = experiment("cnn", {**options, "channels": "2"}).grid.trials
    held = examples_of(trial)
    found = described(trial.problem, held, held.train["y"])
    own = held.train["x"][:, 0, 0, 0] / held.train["x"].max()
    assert found.rows == tuple((own * max(found.rows)).round().astype(int).tolist())
    assert [found.classes[i] for i in held.train["y"]] == [KINDS[row % 3] for row in found.rows]


def test_libsvm_has_lines_labels_and_indices_as_they_are_written(tmp_path: Path) -> None:
    lines = [f"{'+1' if row % 2 else '-1'} 1:{row} 4:0.5\n" for row in range(30)]
    text = "".join([*lines[:4], "# made\n", *lines[4:]])
    (tmp_path / "t.txt").write_text(text)
    given = {"data": str(tmp_path / "t.txt"), "scale": "none"}
    (trial,) = experiment("logistic-regression", given).grid.trials
    held = examples_of(trial)
    labels = labels_of(trial, held)
    assert labels is not None
    found = described(trial.problem, held, labels)
    assert (found.counted, found.classes) == ("line", ("-1", "1"))
    assert found.features == ("1", "2", "3", "4")
    rows = held.train["x"][:, 0]
    assert found.rows == tuple((rows + 1 + (rows >= 4)).astype(int).tolist())


def test_zipped_text_has_the_lines_of_its_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", lines_of(30))
    read = {"missing": "drop", "drop": "note", "comment": "#"}
    found, train, _ = called(tmp_path / "t.zip", **read)
    assert found.rows == tuple(train["x"][:, -1].astype(int).tolist())


def test_code_of_the_users_own_that_reorders_examples_is_not_believed(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "net.py").write_text(OWN_LOAD)
    for turn in ("false", "true"):
        options = {"data": str(tmp_path / "t.csv"), "target": "kind", "turn": turn}
        (trial,) = experiment(str(tmp_path / "net.py"), {**options, "scale": "none"}).grid.trials
        held = examples_of(trial)
        found = described(trial.problem, held, held.train["y"])
        if turn == "true":
            assert found == Described(classes=held.classes)  # which the data themselves name
        else:
            assert found.rows == tuple((held.train["x"][:, 1] + 2).astype(int).tolist())


def test_a_column_that_the_users_own_code_does_not_read_is_no_mistake(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "net.py").write_text(OWN_LOAD)
    options = {"data": str(tmp_path / "t.csv"), "target": "none", "other": "kind"}
    (trial,) = experiment(str(tmp_path / "net.py"), options).grid.trials
    held = examples_of(trial)
    assert described(trial.problem, held, held.train["y"]) == Described(classes=held.classes)


def test_a_set_with_a_name_has_names_for_its_classes_and_no_rows() -> None:
    (trial,) = experiment("softmax-regression", {"dataset": "iris"}).grid.trials
    held = examples_of(trial)
    found = described(trial.problem, held, labels_of(trial, held))
    assert found.classes == ("setosa", "versicolor", "virginica")
    assert (found.counted, found.rows) == ("", ())


def test_the_synthetic_set_has_no_names() -> None:
    (trial,) = experiment("linear-regression", {"dataset": "synthetic"}).grid.trials
    held = examples_of(trial)
    assert described(trial.problem, held, held.train["y"]) == Described()


@pytest.fixture
def found(tmp_path: Path) -> Exploration:
    """Return what is made of the rows of a file, some of which are labelled wrongly."""
    (tmp_path / "t.csv").write_text(lines_of(240))
    options = {
        "data": str(tmp_path / "t.csv"),
        "target": "kind",
        "drop": "note,line",
        "missing": "mean",
    }
    grid: dict[str, Any] = {"lr": "0.05,0.1", "epochs": "100"}
    given = experiment("softmax-regression", {**options, "comment": "#"}, **grid)
    return explore(given, DataMap(flip_labels=0.1), CPU, Silent)


def test_every_form_of_an_exploration_names_rows_and_classes(
    found: Exploration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, examples = found.examples.described, found.examples
    assert examples.labels is not None
    assert examples.original is not None
    table = pd.read_csv(io.StringIO("".join(examples_csv(found))))
    one = table[table.lr == 0.05]
    assert one.line.tolist() == list(about.rows)
    bare = one["class"].str.removeprefix("'")
    assert bare.tolist() == [about.classes[i] for i in examples.labels]
    assert set(one["class"]) == {"setosa", "'=SUM(1)", "vir, ginica"}
    names = one.original_class.str.removeprefix("'")
    assert names.tolist() == [about.classes[i] for i in examples.original]
    own = found.settings[0].measures["predicted"]
    assert one.predicted_class.str.removeprefix("'").tolist() == [about.classes[i] for i in own]
    assert (one.label == examples.labels).all()
    print_exploration(found, "table", console())
    said = capsys.readouterr().out
    lowest = found.trained[0].measures
    worst = int(lowest["margin"].argmin())
    assert lowest["likely_error"][worst]
    line = next(line for line in said.splitlines() if line.startswith(f"{worst} "))
    assert line.split()[1] == str(about.rows[worst])
    assert about.classes[lowest["predicted"][worst]] in line
    text = page.page_bytes(found).decode()
    content = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert (content["classes"], content["counted"]) == (list(about.classes), "line")
    assert content["row_numbers"] == list(about.rows)
    assert content["names"] == ["a", "b"]
    write(tmp_path / "run" / "explore", found, CPU, tables_of(found))
    manifest = json.loads((tmp_path / "run/explore/manifest.json").read_text())
    assert (manifest["class_names"], manifest["counted"]) == (list(about.classes), "line")
    read = read_explored(tmp_path / "run")
    assert read is not None
    assert read.counted == "line"
    words = read.settings[0].words
    assert words["row"] == [str(row) for row in about.rows]
    assert words["label"] == [about.classes[i] for i in examples.labels]
    assert words["predicted"] == [about.classes[i] for i in lowest["predicted"]]


def test_an_exploration_of_before_is_still_read(found: Exploration, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "explore"
    write(folder, found, CPU, tables_of(found))
    table = pd.read_csv(folder / "examples.csv", dtype=str, keep_default_na=False)
    added = ["line", "class", "original_class", "predicted_class"]
    table.drop(columns=added).to_csv(folder / "examples.csv", index=False)
    read = read_explored(tmp_path / "run")
    assert read is not None
    assert read.counted == ""
    assert "row" not in read.settings[0].words
    assert set(read.settings[0].words["label"]) == {"0", "1", "2"}
