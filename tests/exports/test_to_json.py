"""Runs as JSON: strict, every value as it was recorded."""

from __future__ import annotations

import json
from math import inf, isnan
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.errors import UserError
from gdcli.exports.to_json import ToJson
from gdcli.runs.trials import read_curves
from tests.exports.odd_runs import HUGE, IDS, LABEL, MESSAGE, TINY, odd_run, partial_run, real_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.folder import RunFolder


def read(run: RunFolder, trials: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the export, read strictly."""
    content: dict[str, Any] = json.loads(
        "".join(ToJson().lines(run, trials)), parse_constant=pytest.fail
    )
    return content


def test_numbers_that_json_lacks_are_texts_and_what_is_missing_is_null(tmp_path: Path) -> None:
    content = read(odd_run(tmp_path / "odd"))
    trials = {trial["trial"]: trial for trial in content["trials"]}
    assert list(trials) == IDS
    losses = [trial["curve"]["train_loss"] for trial in trials.values()]
    assert losses == [[9.0, 0.1, TINY], [9.0, HUGE, "inf"], [9.0, "nan", "-inf"], []]
    assert trials[IDS[0]]["curve"]["grad_norm"] == [None] * 3
    assert trials[IDS[2]]["summary"]["final_train_loss"] == "-inf"
    assert trials[IDS[3]]["summary"]["final_train_loss"] is None


def test_settings_and_messages_are_literal_and_can_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    run = odd_run(tmp_path / "odd")
    first, _, third, failed = read(run)["trials"]
    assert first["settings"]["data"] == LABEL
    assert third["settings"] | {"seed": 2**70, "data": "nan"} == third["settings"]
    assert (failed["summary"]["status"], failed["summary"]["message"]) == ("failed", MESSAGE)
    text = "".join(ToJson().lines(run, ()))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert text.isascii()


def test_trials_can_be_chosen(tmp_path: Path) -> None:
    trials = read(odd_run(tmp_path / "odd"), (IDS[3], IDS[1]))["trials"]
    assert [trial["trial"] for trial in trials] == [IDS[1], IDS[3]]
    assert trials[0]["curve"]["train_loss"] == [9.0, HUGE, "inf"]


def test_a_run_is_told_with_its_manifest_and_read_back_exactly(tmp_path: Path) -> None:
    run = real_run(tmp_path)
    content = read(run)
    assert (content["format"], content["run"], content["state"]) == (1, "net", "complete")
    assert content["manifest"] == json.loads((run.path / "manifest.json").read_text())
    points = read_curves(run.path, ("train_loss", "test_accuracy"))
    for trial, recorded in zip(content["trials"], points, strict=True):
        assert trial["trial"] == recorded.trial
        assert trial["curve"]["step"] == recorded.steps
        for name, values in recorded.values.items():
            assert trial["curve"][name] == values


def test_of_a_run_that_is_not_finished_the_stored_trials_are_there(tmp_path: Path) -> None:
    run = partial_run(tmp_path)
    content = read(run)
    assert (content["state"], content["manifest"]) == ("partial", None)
    assert {trial["settings"]["optimizer"] for trial in content["trials"]} == {"vanilla"}
    assert [trial["settings"]["lr"] for trial in content["trials"]] == [0.1, 0.1, 3.0, 3.0]
    for trial in content["trials"]:
        curve, summary = trial["curve"], trial["summary"]
        assert curve["train_loss"][0] == 5.5
        assert curve["sharpness"][-1] == summary["final_sharpness"] > 0
        assert summary["final_distance"] == curve["distance"][-1]


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    run, file = odd_run(tmp_path / "odd"), tmp_path / "a.json"
    ToJson().write(run, (), str(file), overwrite=False)
    written = file.read_bytes()
    assert written == "".join(ToJson().lines(run, ())).encode()
    with pytest.raises(UserError, match="is there already; give another name, or --overwrite"):
        ToJson().write(run, IDS[:1], str(file), overwrite=False)
    assert file.read_bytes() == written
    ToJson().write(run, IDS[:1], str(file), overwrite=True)
    assert len(json.loads(file.read_text())["trials"]) == 1


def test_the_reader_of_the_texts_gets_the_numbers_back(tmp_path: Path) -> None:
    _, _, odd, _ = read(odd_run(tmp_path / "odd"))["trials"]
    start, middle, end = map(float, odd["curve"]["train_loss"])
    assert (start, end) == (9.0, -inf)
    assert isnan(middle)
