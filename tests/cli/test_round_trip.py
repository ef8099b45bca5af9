"""A command line, the file it is saved as, and the command line of that file: all say the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdcli.catalog.catalog import PROBLEMS
from gdcli.cli.app import main
from gdcli.experiment.toml import dump, load
from tests.experiments import experiments_with


@pytest.mark.parametrize("problem", PROBLEMS.names())
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_command_line_and_its_file_say_the_same_exactly(
    problem: str, data: st.DataObject
) -> None:
    experiment = data.draw(experiments_with(problem))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "saved.toml")
        assert main([*experiment.command(), f"--save={file}", "--quiet"]) == 0
        again = load(file)
        assert sorted(again.command()) == sorted(experiment.command())  # in the order of the help
        assert again.hash == experiment.hash
        assert file.read_text(encoding="utf-8") == dump(again)
