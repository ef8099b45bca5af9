"""The folder of a trial, whatever a stranger's table says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdcli.exports.target import folder_name
from gdcli.runs.csv_read import Value

OWN: dict[str, Value] = {"method": "gd", "optimizer": "adam", "schedule": "constant", "lr": 0.1}


def test_a_folder_says_the_settings_and_the_trial() -> None:
    assert folder_name({"trial": "0123456789ab", **OWN}) == "gd_adam_lr=0.1_0123456789ab"


@pytest.mark.parametrize("trial", ["../../x", "/x", "a\0b", "..", "\u202ex\n", "x" * 5000, "C:\\x"])
def test_no_trial_names_another_folder(trial: str) -> None:
    for settings in ({"trial": trial, **OWN}, {"trial": "1", **OWN, "width": trial}):
        name = folder_name(settings)
        assert Path(name).name == name
        assert name.isascii()
        assert len(name) < 255
