"""The edge of stability: a real run beside it, and the words for it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.analysis.best import settings_of
from gdcli.analysis.diagnoses import (
    EdgeOfStability,
    RateDiagnosis,
    diagnoses_of,
    edge_of_stability,
    rate_diagnoses,
)
from gdcli.analysis.theory import sharpness_formula, stability_limit, stable_sharpness
from gdcli.executors.execute import execute
from gdcli.experiment import toml
from gdcli.optimizers.adam import Adam
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.optimizers.vanilla import Vanilla
from gdcli.report.why import explanation, why_rows
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment

if TYPE_CHECKING:
    from gdcli.optimizer import Optimizer

FILE = Path(__file__).parents[2] / "experiments" / "edge-of-stability.toml"
RULES = [Vanilla(weight_decay=0.5), Momentum(beta=0.5), Nesterov(beta=0.9, weight_decay=0.1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the experiment's run: its files, and nothing that is hidden."""
    made = tmp_path_factory.mktemp("edge")
    done = execute(toml.load(FILE), RunOptions(output=made), Silent())
    copied = shutil.copytree(done.folder, made / "copied", ignore=shutil.ignore_patterns(".gdcli"))
    return Path(copied)


def told(folder: Path) -> dict[float, RateDiagnosis]:
    """Return the accounts of a run of one setting, by learning rate."""
    diagnoses = diagnoses_of(folder)
    (setting,) = settings_of(diagnoses.run.trials)
    cells = [(setting, cell) for cell in setting.candidates]
    return {one.candidate.lr: one for one in rate_diagnoses(folder, diagnoses, cells)}


def test_larger_rates_train_at_the_edge_and_small_ones_below(folder: Path) -> None:
    found = {lr: edge_of_stability(account) for lr, account in told(folder).items()}
    places = {lr: edge.place for lr, edge in found.items() if edge}
    # Between these, other processors' rounding may decide: the way there is chaotic.
    assert (places[0.05], places[0.1], places[0.8]) == ("below", "below", "at")
    steep = found[0.8]
    assert steep is not None
    assert 1.8 < 0.8 * steep.end < 2.5
    assert 0.8 * steep.start < 1.5
    assert steep.edge == pytest.approx(2.5)


def test_the_explanation_says_how_near(folder: Path) -> None:
    line = explanation(told(folder)[0.8])
    assert " It is at the edge of stability: lr x sharpness is " in line
    assert line.endswith(" over the last quarter. The edge is 2: sharpness 2/lr = 2.5.")
    rows = why_rows(folder, diagnoses_of(folder))
    (row,) = (row for row in rows if row["lr"] == 0.8)
    assert row["stable_sharpness"] == pytest.approx(2.5)
    assert row["late_sharpness"] == pytest.approx(2.5, rel=0.2)
    assert row["initial_sharpness"] == pytest.approx(1.6, rel=0.1)


def test_of_trials_that_diverged_it_says_nothing(folder: Path) -> None:
    account = told(folder)[0.8]
    assert edge_of_stability(account) is not None
    word: tuple[str, str | None] = ("blew up", None)
    lost = [(word, held) for _, held in account.groups]
    assert edge_of_stability(replace(account, groups=lost)) is None


@pytest.mark.parametrize("grid", [{"method": "sgd"}, {"optimizer": "adam"}, {"schedule": "cosine"}])
def test_only_full_batches_at_a_constant_rate_have_an_edge(
    tmp_path: Path, grid: dict[str, str]
) -> None:
    options = {"dataset": "iris", "hidden": "4"}
    given = experiment("mlp", options, epochs="2", measure="sharpness", **grid)
    (account,) = told(execute(given, RunOptions(output=tmp_path), Silent()).folder).values()
    assert account.sharpness is not None
    assert edge_of_stability(account) is None
    assert "sharpness" not in explanation(account)


def test_where_the_hessian_is_the_same_everywhere_the_limit_says_it_all(tmp_path: Path) -> None:
    given = experiment("quadratic", measure="sharpness")
    (account,) = told(execute(given, RunOptions(output=tmp_path), Silent()).folder).values()
    assert edge_of_stability(account) is None


@pytest.mark.parametrize(
    ("end", "place"), [(8.9, "below"), (9.1, "at"), (12.4, "at"), (12.6, "above")]
)
def test_the_place_is_that_of_the_end(end: float, place: str) -> None:
    assert EdgeOfStability(1.0, end, 10.0).place == place


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_at_the_stable_sharpness_the_rate_is_the_limit(rule: Optimizer) -> None:
    sharpness = stable_sharpness(rule, 0.03)
    assert sharpness is not None
    assert stability_limit(rule, sharpness) == pytest.approx(0.03)
    assert stable_sharpness(Adam(), 0.03) is None


def test_the_formula_names_what_the_rule_has() -> None:
    assert [sharpness_formula(rule) for rule in (Vanilla(), *RULES)] == [
        "2/lr",
        "2/lr - weight decay",
        "2(1+beta)/lr",
        "2(1+beta)/(lr(1+2 beta)) - weight decay",
    ]
