"""Merging: the parts of a run become the run, and what does not belong together is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.errors import UserError
from gdcli.executors.execute import execute
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.others import merge
from gdcli.runs.store import Shard, Store
from tests.grids import experiment

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment

TABLES = ("curves.csv", "summary.csv", "experiment.toml")


def bowls(lr: str = "0.02,0.1,3") -> Experiment:
    """Return an experiment of four batches."""
    return experiment(
        "quadratic", optimizer="vanilla,momentum", vary={"condition": "10,20"}, lr=lr, epochs="5"
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the whole run, and its three shards apart."""
    folder = tmp_path_factory.mktemp("made")
    execute(bowls(), RunOptions(output=folder, name="whole"), Silent())
    for i in (1, 2, 3):
        options = RunOptions(output=folder, name=f"part{i}", shard=f"{i}/3")
        execute(bowls(), options, Silent())
    return folder


def files(folder: Path) -> dict[Path, bytes]:
    """Return all files in a folder."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def parts(made: Path, *numbers: int) -> list[Path]:
    """Return the folders of some shards."""
    return [made / f"part{i}" for i in numbers]


def tables(folder: Path) -> list[bytes]:
    """Return the results of a run."""
    return [(folder / name).read_bytes() for name in TABLES]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2, 1)])
def test_the_parts_are_the_run(made: Path, tmp_path: Path, order: tuple[int, ...]) -> None:
    before = files(made)
    assert merge(parts(made, *order), tmp_path / "all") == []
    assert tables(tmp_path / "all") == tables(made / "whole")
    counts = [
        json.loads((folder / "manifest.json").read_text())["trials"]
        for folder in (tmp_path / "all", made / "whole")
    ]
    assert counts[0] == counts[1]
    assert files(made) == before
    options = RunOptions(output=tmp_path, name="all")
    assert execute(bowls(), options, Silent()).ready  # the run's own command has nothing to do


def test_what_is_missing_is_said_and_the_run_goes_on_there(made: Path, tmp_path: Path) -> None:
    missing = merge(parts(made, 1, 3), tmp_path / "all")
    summary = (made / "whole" / "summary.csv").read_text().splitlines()
    assert [trial.id for trial in missing] == [line[:12] for line in summary[4:7]]
    assert not (tmp_path / "all" / "curves.csv").exists()
    outcome = execute(bowls(), RunOptions(output=tmp_path, name="all"), Silent())
    assert outcome.computed == 1
    assert tables(tmp_path / "all") == tables(made / "whole")


def test_a_folder_can_be_merged_into_again(made: Path, tmp_path: Path) -> None:
    assert merge(parts(made, 1), tmp_path / "all")
    assert merge(parts(made, 2), tmp_path / "all")
    assert merge([tmp_path / "all", *parts(made, 3)], tmp_path / "all") == []
    assert tables(tmp_path / "all") == tables(made / "whole")
    before = files(tmp_path)
    assert merge(parts(made, 3), tmp_path / "all") == []
    assert files(tmp_path) == before


def test_a_damaged_shard_is_missing(made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made / "whole", tmp_path / "copy"))
    shard = copy / ".gdcli" / "shards" / "000002"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert len(merge([copy], tmp_path / "all")) == 3
    assert merge([copy, *parts(made, 3)], tmp_path / "all") == []
    assert tables(tmp_path / "all") == tables(made / "whole")


def store_in(folder: Path) -> Store:
    """Return the store of a run."""
    return Store(folder, json.loads((folder / ".gdcli" / "spec.json").read_text()))


@pytest.mark.parametrize("into", [False, True])
def test_a_conflict_names_batch_and_folders(made: Path, tmp_path: Path, *, into: bool) -> None:
    copy = Path(shutil.copytree(made / "whole", tmp_path / "copy"))
    store_in(copy).save(1, Shard(b"other\n", b"other\n", seconds=0.0, failed=0, diverged=0))
    before = files(copy)
    out = copy if into else tmp_path / "all"
    given = parts(made, 2) if into else [*parts(made, 1, 2, 3), copy]
    with pytest.raises(UserError, match="its batch 000001 differs from that of") as caught:
        merge(given, out)
    assert caught.value.where == str(copy)
    assert str(made / "part2") in caught.value.what
    assert files(copy) == before
    assert into or not out.exists()


def test_a_batch_of_other_trials_is_refused(made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made / "whole", tmp_path / "copy"))
    store_in(copy).save(1, Shard(b"other\n", b"other\n", seconds=0.0, failed=0, diverged=0))
    with pytest.raises(UserError, match="its batch 000001 does not hold the trials of the"):
        merge([copy], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_seconds_are_no_conflict(made: Path, tmp_path: Path) -> None:
    assert merge([made / "whole", *parts(made, 1, 2, 3)], tmp_path / "all") == []


def test_another_experiment_is_refused_by_what_differs(made: Path, tmp_path: Path) -> None:
    execute(bowls("0.3"), RunOptions(output=tmp_path, name="other"), Silent())
    with pytest.raises(UserError, match=r"another run than .*settings\.grid\.lr") as caught:
        merge([made / "part1", tmp_path / "other"], tmp_path / "all")
    assert caught.value.where == str(tmp_path / "other")
    with pytest.raises(UserError, match="another run than"):
        merge([made / "part1"], tmp_path / "other")
    assert not (tmp_path / "all").exists()


def test_another_processor_is_refused_by_name(made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made / "part1", tmp_path / "copy"))
    spec = json.loads((copy / ".gdcli" / "spec.json").read_text())
    spec["fingerprint"]["numpy"] = "1.0"
    spec["settings"]["problem"]["dim"] = 2  # the default, said aloud
    (copy / ".gdcli" / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(UserError, match=r"fingerprint\.numpy \S+ -> 1\.0$|numpy \S+ -> 1\.0;"):
        merge([*parts(made, 2), copy], tmp_path / "all")


@pytest.mark.parametrize("text", ["", "{", "[]", "NaN", '{"format": 1}'])
def test_a_damaged_spec_is_refused(made: Path, tmp_path: Path, text: str) -> None:
    copy = Path(shutil.copytree(made / "part1", tmp_path / "copy"))
    (copy / ".gdcli" / "spec.json").write_text(text)
    with pytest.raises(UserError, match="it is damaged"):
        merge([copy], tmp_path / "all")


@pytest.mark.parametrize("key", ["settings", "experiment"])
def test_a_spec_that_says_no_experiment_is_refused(made: Path, tmp_path: Path, key: str) -> None:
    copy = Path(shutil.copytree(made / "part1", tmp_path / "copy"))
    spec = json.loads((copy / ".gdcli" / "spec.json").read_text())
    del spec[key]
    (copy / ".gdcli" / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(UserError, match="it is damaged") as caught:
        merge([copy], tmp_path / "all")
    assert caught.value.where.startswith(str(copy))
    assert not (tmp_path / "all").exists()


def test_folders_that_hold_no_run_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it holds no shards"):
        merge([tmp_path], tmp_path / "all")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        merge(parts(made, 1), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
