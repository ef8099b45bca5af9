"""What `make test` leaves out, by tests/slow.py: patterns that fit, and no program."""

from __future__ import annotations

import pytest

from gdcli.engine.device import device_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import needs_torch, program_for
from tests.conftest import UNFITTING
from tests.engine.test_contract import NOISY, SMALL
from tests.grids import TRAINABLE, experiment
from tests.slow import PROGRAMS


def program_of(problem: str) -> str:
    """Return the name of the program that trains a small one of a problem."""
    options = NOISY.get(problem, SMALL.get(problem, {}))
    (trial,) = experiment(problem, options).grid.trials
    device = device_for("cpu", "float64", networks=needs_torch(trial.problem))
    return type(program_for([trial], examples_of(trial), device)).__name__


def test_every_program_is_in_the_laws_of_make_test() -> None:
    programs = [program_of(problem) for problem in PROGRAMS]
    assert sorted(programs) == sorted({program_of(problem) for problem in TRAINABLE})


def test_every_pattern_fits_a_test(pytestconfig: pytest.Config) -> None:
    if [(pytestconfig.rootpath / name).resolve() for name in pytestconfig.args] != [
        pytestconfig.rootpath / "tests"
    ]:
        pytest.skip("not all tests are collected")
    assert pytestconfig.stash[UNFITTING] == []
