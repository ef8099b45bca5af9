"""`gdcli runs`: which runs there are, told by their files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.runs import folder as overview
from gdcli.runs.folder import State, state_of
from tests.runs.test_atomic_claims import another

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

RUN = ("run", "quadratic", "--lr", "0.1,0.05", "--epochs", "3", "--quiet", "--name")


def listed(shell: Shell, *arguments: str) -> dict[str, dict[str, str]]:
    """Return the rows of the listing by name."""
    assert shell("runs", *arguments, "--format", "json") == 0
    return {row["name"]: row for row in json.loads(shell.out)}


@pytest.fixture
def results(shell: Shell) -> Path:
    """Return a folder of runs: one is whole, the others are not."""
    for name in ("whole", "part", "harmed", "busy", "odd"):
        assert shell(*RUN, name) == 0
    folder = shell.folder / "results"
    for name in ("part", "busy"):
        for file in ("curves.csv", "summary.csv", "manifest.json"):
            (folder / name / file).unlink()
    (folder / "harmed" / "curves.csv").write_text("")
    (folder / "odd" / "manifest.json").write_text('{"experiment": 3, "trials": []}')
    (folder / "odd" / ".gdcli" / "spec.json").write_text("[]")
    (folder / "notes").mkdir()
    (folder / "notes.txt").write_text("mine")
    return folder


def test_every_run_is_listed_with_its_state(shell: Shell, results: Path) -> None:
    rows = listed(shell)
    assert {name: row["state"] for name, row in rows.items()} == {
        "busy": "partial",
        "harmed": "damaged",
        "odd": "damaged",
        "part": "partial",
        "whole": "complete",
    }
    assert {row["problem"] for name, row in rows.items() if name != "odd"} == {"quadratic"}
    assert (rows["whole"]["trials"], rows["whole"]["batches"]) == ("2/2", "1/1")
    assert rows["whole"]["finished"].endswith("Z")
    assert (rows["part"]["batches"], rows["part"]["finished"]) == ("1/1", "")
    assert {name: row["trials"] for name, row in rows.items()} == {
        "busy": "2/2",
        "harmed": "2/2",
        "odd": "",
        "part": "2/2",
        "whole": "2/2",
    }
    assert listed(shell, str(results)) == rows
    assert list(listed(shell, str(results / "whole"))) == ["whole"]
    assert shell("runs") == 0
    assert shell.out.splitlines()[0].split() == list(rows["whole"])


def test_a_part_has_its_trials_counted(shell: Shell) -> None:
    lrs = ",".join(str((1 + k) / 5000) for k in range(300))
    run = ("run", "quadratic", "--epochs", "2", "--lr", lrs, "--name", "a", "--quiet")
    assert shell(*run, "--optimizer", "vanilla,adam", "--shard", "1/2") == 0
    row = listed(shell)["a"]
    done, total = map(int, row["trials"].split("/"))
    assert (0 < done < total, total, row["state"]) == (True, 600, "partial")
    (Path("results/a/.gdcli/spec.json")).write_text('{"batches": 9}')
    assert listed(shell)["a"]["trials"] == ""


def test_a_run_is_in_progress_while_a_process_works_on_it(shell: Shell, results: Path) -> None:
    with another(results / "busy", "lock_folder"):
        assert listed(shell)["busy"]["state"] == "in progress"
    assert listed(shell)["busy"]["state"] == "partial"


def test_no_runs_are_no_error(shell: Shell) -> None:
    assert shell("runs") == 0
    assert (shell.out, shell.err) == ("", "there are no runs in results\n")
    assert listed(shell) == {}
    (shell.folder / "[b]\n").mkdir()
    assert shell("runs", "[b]\n") == 0
    assert shell.err == "there are no runs in [b]\\n\n"
    (error,) = shell.refuses("runs", "nowhere")
    assert error.startswith("'nowhere': there is no such folder; ")


def test_a_run_that_cannot_be_read_does_not_hide_the_others(
    shell: Shell, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> State:
        if folder.name == "part":
            raise PermissionError(13, "Permission denied", str(results))
        return state_of(folder)

    monkeypatch.setattr(overview, "state_of", refuse)
    rows = listed(shell)
    assert rows["part"]["state"] == "unreadable: permission denied"
    assert rows["whole"]["state"] == "complete"


def test_a_folder_that_may_not_be_looked_into_does_not_hide_the_others(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell(*RUN, "whole") == 0
    (shell.folder / "results" / "locked").mkdir()
    exists = Path.exists

    def looked(path: Path) -> bool:
        if path.parent.name == "locked":
            raise PermissionError
        return exists(path)

    monkeypatch.setattr(Path, "exists", looked)
    assert listed(shell).keys() == {"whole"}
