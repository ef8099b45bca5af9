"""What is printed and written of an exploration, and what its page holds."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from gdcli.report.charts.terminal import HEIGHT
from gdcli.report.console import console
from gdcli.runs.options import Silent
from gdcli.studies.explore import page
from gdcli.studies.explore.dynamics import Exploration, explore
from gdcli.studies.explore.files import REGIONS
from gdcli.studies.explore.show import (
    correlations_csv,
    examples_csv,
    print_exploration,
    setting_rows,
    settings_csv,
)
from gdcli.studies.options import Compute, DataMap
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = Compute(device="cpu")


@pytest.fixture(scope="module")
def wine() -> Exploration:
    """Return what three rates, one of which diverges, make of the wines, some labels wrong."""
    grid = {"lr": "0.1,0.5,1e30", "seed": "0,1", "method": "minibatch", "epochs": "20"}
    study = DataMap(flip_labels=0.1)
    return explore(experiment("mlp", {"dataset": "wine"}, **grid), study, CPU, Silent)


def printed(found: Exploration, capsys: pytest.CaptureFixture[str], form: str = "table") -> str:
    print_exploration(found, form, console())
    return capsys.readouterr().out


def test_the_table_says_what_the_settings_make_of_the_examples(
    wine: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(wine, capsys).splitlines()
    assert lines[0].startswith("mlp: 142 training examples, looked at after every epoch; 14 labe")
    rows = {line[:29].strip(): line[29:].split() for line in lines[2:5]}
    assert rows["minibatch 32 vanilla lr 1e+30"] == ["diverged"]
    easy = wine.settings[1].measures["region"] == 0
    assert rows["minibatch 32 vanilla lr 0.5"][1] == f"{easy.mean():.1%}"


def test_the_map_has_a_letter_where_examples_lie(
    wine: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    own = wine.trained[0].measures
    _, _, drawn = printed(wine, capsys).partition("Data map of ")
    rows = re.findall("[│┤](.*)", drawn.partition("└")[0])
    assert len(rows) == HEIGHT
    letters = {"easy": "e", "ambiguous": "a", "hard": "h"}
    there = {letters[REGIONS[place]] for place in own["region"]}
    assert set("".join(rows)) - {" "} == there
    surest = own["confidence"].argmax()
    across, up = own["variability"][surest] / 0.5, own["confidence"][surest]
    columns = 80 - len("variability") - 2
    row = rows[HEIGHT - 1 - round(up * (4 * HEIGHT - 1)) // 4]
    assert row[round(across * (2 * columns - 1)) // 2] == "e"


def test_the_worst_labels_come_first(wine: Exploration, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(wine, capsys).splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("example "))
    worst = int(wine.trained[0].measures["margin"].argmin())
    assert lines[at].split()[1:4] == ["labelled", "model", "expects"]
    assert lines[at + 1].split()[0] == str(worst)
    assert lines[at + 1].split()[-1] == ("yes" if wine.examples.flipped[worst] else "no")  # type: ignore[index]


def test_labels_learnt_by_heart_are_said_to_hide(capsys: pytest.CaptureFixture[str]) -> None:
    grid = {"lr": "0.5", "method": "minibatch", "epochs": "60", "optimizer": "adam"}
    named = experiment("mlp", {"dataset": "iris", "hidden": "64"}, **{**grid, "lr": "0.05"})
    found = explore(named, DataMap(), CPU, Silent)
    held = found.trained[0].right_at_end > 0.99
    assert ("learnt by heart" in printed(found, capsys)) == held


def test_every_form_has_the_same_numbers(
    wine: Exploration, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(printed(wine, capsys, "json"))
    assert [row["lr"] for row in rows] == [0.1, 0.5, 1e30]
    assert (rows[2]["seeds"], rows[2]["diverged"], rows[2]["easy"]) == (0, 2, None)
    assert sum(rows[0][name] for name in ("easy", "ambiguous", "hard")) == pytest.approx(1)
    assert rows == [{**row} for row in setting_rows(wine)]
    table = list(csv.DictReader(io.StringIO(printed(wine, capsys, "csv"))))
    assert table == list(csv.DictReader(io.StringIO("".join(settings_csv(wine)))))
    assert float(table[0]["recall"]) == rows[0]["recall"]
    assert printed(wine, capsys, "md").startswith("| method | batch_size | optimizer | lr | ")


def test_examples_are_a_row_each_of_every_setting(wine: Exploration) -> None:
    text = "".join(examples_csv(wine))
    table = pd.read_csv(io.StringIO(text))
    assert len(table) == 2 * 142
    second = table[table.lr == 0.5]
    own = wine.settings[1].measures
    assert second.example.tolist() == list(range(142))
    for name in ("confidence", "variability", "margin", "forgetting", "loss"):
        np.testing.assert_allclose(second[name], own[name], rtol=1e-14)
    np.testing.assert_allclose(second.first_learned, own["first_learned"])  # nan where empty
    assert (second.flipped == (second.label != second.original_label)).all()
    assert second.flipped.sum() == 14
    assert set(second.region) <= {"easy", "ambiguous", "hard"}
    assert second.likely_error.dtype == bool


def test_correlations_are_of_every_two_settings(wine: Exploration) -> None:
    table = pd.read_csv(io.StringIO("".join(correlations_csv(wine))))
    assert len(table) == 4
    own = table.pivot_table(index="setting", columns="other", values="rank_correlation").to_numpy()
    np.testing.assert_allclose(own, own.T)
    np.testing.assert_allclose(np.diag(own), 1)


def test_a_regression_has_losses_alone(capsys: pytest.CaptureFixture[str]) -> None:
    found = explore(experiment("linear-regression", epochs="5"), DataMap(), CPU, Silent)
    assert "no probabilities of classes: only losses are followed" in printed(found, capsys)
    table = pd.read_csv(io.StringIO("".join(examples_csv(found))))
    assert list(table)[-5:] == ["example", "target", "loss", "loss_deviation", "final_loss"]


def held(content: bytes) -> dict[str, list[int]]:
    """Return what the script of a page knows."""
    (text,) = re.findall(r'id="data">(.*?)</script>', content.decode())
    found: dict[str, list[int]] = json.loads(text)
    return found


def test_a_page_of_many_examples_keeps_what_looks_wrong(
    wine: Exploration, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = page.page_bytes(wine)
    assert held(whole)["examples"] == list(range(142))
    assert b"id='thinned'" not in whole
    monkeypatch.setattr(page, "MOST_EXAMPLES", 60)
    few = page.page_bytes(wine)
    kept = held(few)["examples"]
    assert len(kept) == 60
    assert b"it has 60 of the 142 examples" in few
    errors = np.logical_or(*(s.measures["likely_error"] for s in wine.trained))
    assert set(np.flatnonzero(errors)[:30]) <= set(kept)


def test_a_page_allows_no_other_script_and_no_network(
    wine: Exploration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["gdcli", "explore", "</script><b>"])
    text = page.page_bytes(wine).decode()
    assert "default-src 'none'; script-src 'sha256-" in text
    assert "&lt;/script&gt;&lt;b&gt;" in text
    assert "<b>" not in text.partition('<script type="application/json"')[0]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes the output ASCII."""

    def set_it() -> None:
        monkeypatch.setattr("rich.console.ConsoleOptions.ascii_only", property(lambda _: True))

    return set_it


def test_without_utf8_there_is_no_map(
    wine: Exploration, capsys: pytest.CaptureFixture[str], plain: Callable[[], None]
) -> None:
    plain()
    text = printed(wine, capsys)
    assert "The data map needs UTF-8" in text
    assert text.isascii()
