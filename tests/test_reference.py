"""The committed runs of results/reference: of every experiment, and what it gives today."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdcli.experiment.toml import load
from gdcli.runs.options import Silent
from gdcli.runs.verify import verify

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
# Images that do not travel with gdcli; what needs an extra, whose tests run it.
ELSEWHERE = ["cnn-fashion", "yolo26-shapes"]
FILES = [f for f in sorted((ROOT / "experiments").glob("*.toml")) if f.stem not in ELSEWHERE]


def test_every_experiment_whose_data_travel_with_gdcli_has_a_reference() -> None:
    assert sorted(run.name for run in REFERENCE.iterdir()) == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reference_is_of_its_experiment(file: Path) -> None:
    held = load(REFERENCE / file.stem / "experiment.toml")
    given = [load(file, overrides) for overrides in ({}, {"record": "log"})]
    assert held.hash in [experiment.hash for experiment in given], "make reference"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reference_is_what_its_experiment_gives(file: Path) -> None:
    # One batch of each; `make verify` runs all of them.
    findings = verify(REFERENCE / file.stem, 1, 1, Silent())
    assert [f"{f.check}: {f.detail}" for f in findings if not f.sound] == []
    assert findings[-1].check == "rerun"


def test_they_are_small_enough_to_be_committed() -> None:
    assert sum(f.stat().st_size for f in REFERENCE.glob("*/*") if f.is_file()) < 2_000_000
