"""Why learning rates did what they did: the words, and the figures beside those of theory."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.best import settings_of
from gdcli.analysis.diagnoses import Diagnoses, RateDiagnosis, measured_rate, rate_diagnoses
from gdcli.analysis.diagnosis.verdict import Limits
from gdcli.analysis.theory import (
    Expectation,
    Goals,
    Limit,
    ProblemConstants,
    RunConstants,
    expectation,
)
from gdcli.engine.families.known import Curvature
from gdcli.engine.families.noise_floor import Floor
from gdcli.errors import UserError
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.vanilla import Vanilla
from gdcli.report.why import explanation, notable, why_lines
from gdcli.runs.trials import read_trials
from tests.run_folders import Made, descent, grid, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.csv_read import Value

GOALS = Goals(tol=None, target_loss=None, order="shuffle", remainder="keep")
BOWL = ProblemConstants(1, 0.0, Curvature(10.0, 1.0, exact=True, every_batch=True))
NOTHING = {"experiment": {"settings": {"grid": {}}}, "theory": []}
FALLING = [0.9**k for k in range(30)]


def bowl(goals: dict[str, float] | None = None, **known: object) -> RunConstants:
    """Return what a manifest says of a quadratic bowl, whose limit of plain descent is 0.2."""
    curvature = {"largest": 10.0, "smallest": 1.0, "exact": True, "every_batch": True}
    own = {"problem": "bowl", "options": {}, "examples": 1, "minimum": 0.0, "convex": True}
    experiment = {"problem": "quadratic", "settings": {"grid": goals or {}}}
    entry = {**own, "curvature": curvature, **known}
    return RunConstants({"experiment": experiment, "data": {"bowl": "abc"}, "theory": [entry]})


def account(folder: Path, trials: list[Made], theory: RunConstants | None = None) -> RateDiagnosis:
    """Return the account of a run of one setting at one learning rate."""
    run = read_trials(write_run(folder, trials))
    (setting,) = settings_of(run.trials)
    (cell,) = setting.candidates
    (found,) = rate_diagnoses(folder, Diagnoses(run, theory), [(setting, cell)])
    return found


def said(folder: Path, trials: list[Made], theory: RunConstants | None = None) -> str:
    return explanation(account(folder, trials, theory))


def lost(lr: float, seed: int = 0, end: float = inf) -> Made:
    return Made([1.0] * 7 + [end], lr=lr, seed=seed, status="diverged")


def test_divergence_is_told_with_its_step_its_cause_and_its_limit(tmp_path: Path) -> None:
    line = "lr 0.5 blew up at step 7: its loss or a weight overflowed; its learning rate 0.5 is"
    assert said(tmp_path, [lost(0.5)], bowl()).startswith(f"{line} above the limit 2/L = 0.2.")
    plain = said(tmp_path, [lost(0.5, end=nan)])
    assert plain.startswith("lr 0.5 blew up at step 7: its loss or a weight became NaN. ")
    grown = said(tmp_path, [lost(0.5, end=1e30)])
    assert grown.startswith(
        "lr 0.5 blew up at step 7: its loss grew past the limit of --diverge-at"
    )
    momentum = said(tmp_path, [replace(lost(0.5), optimizer="momentum")], bowl())
    assert "above the limit 2(1+beta)/L = 0.38." in momentum


def test_a_bound_that_is_only_sufficient_is_never_given_as_the_proof(tmp_path: Path) -> None:
    bound = {"largest": 10.0, "smallest": 0.0, "exact": False, "every_batch": False}
    line = said(tmp_path, [lost(0.5)], bowl(curvature=bound))
    assert line.startswith("lr 0.5 blew up at step 7: its loss or a weight overflowed; ")
    assert "in theory rates up to 0.2 are safe, and 0.5 is larger" in line
    assert "limit" not in line


@pytest.mark.parametrize(
    ("made", "state", "line"),
    [
        (lost(0.1), "blew up", "blew up at step 7"),
        (
            Made([1.05**k for k in range(30)]),
            "blew up",
            "blew up: from about step ",
        ),
        (Made(FALLING, stopped_by="tol"), "reached its goal", "reached --tol after 29 steps."),
        (Made(FALLING, stopped_by="target"), "reached its goal", "reached --target-loss after 29"),
        (Made([1.0, *[0.2, 0.9] * 15]), "bouncing", "bounces: its loss still swings by 0.7"),
        (Made(FALLING[:5]), "too few points to tell", "has 5 points, too few to tell."),
        (Made([2.0]), "too few points to tell", "has 1 point, too few to tell."),
        (Made(FALLING), "still falling", "still falls."),
        (Made([2.0] * 30), "flat", "is flat."),
    ],
)
def test_every_state_is_told_with_its_figures(
    tmp_path: Path, made: Made, state: str, line: str
) -> None:
    found = account(tmp_path, [made])
    assert found.state == state
    assert explanation(found).startswith(f"lr 0.1 {line}")


def test_a_failed_trial_is_told_with_its_message(tmp_path: Path) -> None:
    line = said(tmp_path, [Made([], status="failed", message="boom")])
    assert line == "lr 0.1 failed: boom"


def test_of_most_seeds_that_failed_the_message_is_told(tmp_path: Path) -> None:
    failed = [Made([], seed=k, status="failed", message="boom") for k in (1, 2)]
    found = account(tmp_path, [Made(FALLING), *failed])
    assert (found.state, found.states) == ("failed", {"failed": 2, "still falling": 1})
    assert explanation(found) == "lr 0.1 failed: boom (2 of 3 seeds; 1 seed: still falling)"


def test_a_trial_at_the_least_loss_is_said_to_be_there(tmp_path: Path) -> None:
    there = account(tmp_path, [Made([0.5**k for k in range(40)])], bowl())
    assert there.state == "flat"
    assert explanation(there).startswith("lr 0.1 is at the minimum")
    assert "loss 1.819e-12, the least possible is 0" in explanation(there)


def test_a_trial_that_falls_is_told_with_the_steps_to_go(tmp_path: Path) -> None:
    line = said(tmp_path, [descent(0.02, epochs=64)], bowl({"target-loss": 1e-3}))
    assert line.startswith("lr 0.02 still falls. It needs about ")
    assert " more steps until the loss is at its target 0.001." in line
    low, high = map(float, line.partition(" about ")[2].partition(" more")[0].split(" to "))
    longer = descent(0.02, epochs=1000).losses
    assert low <= next(k for k, loss in enumerate(longer) if loss <= 1e-3) - 64 <= high


def test_a_target_below_the_minimum_is_said_to_be_there(tmp_path: Path) -> None:
    found = account(tmp_path, [descent(0.1)], bowl({"target-loss": -1.0}))
    assert found.typical
    assert "target below the minimum" in found.typical.qualities


def test_most_seeds_have_the_word_and_of_a_tie_the_worse(tmp_path: Path) -> None:
    good = [Made(FALLING, lr=0.5, seed=seed) for seed in (1, 2)]
    assert said(tmp_path, [lost(0.5), *good]).startswith(
        "lr 0.5 still falls (2 of 3 seeds; the figures are of seed 1; 1 seed: blew up)."
    )
    assert said(tmp_path, [lost(0.5), good[0]]).startswith(
        "lr 0.5 blew up at step 7: its loss or a weight overflowed (1 of 2 seeds; 1 seed: still "
    )


def test_of_the_seeds_with_the_state_the_one_with_the_median_loss_is_told(tmp_path: Path) -> None:
    trials = [Made([k * y for y in FALLING], seed=k) for k in (3, 1, 2)]
    found = account(tmp_path, [*trials, lost(0.1, seed=4)])
    assert found.example is found.candidate.trials[2]
    assert found.typical is found.diagnoses.of(found.candidate.trials[2])
    assert found.fact("initial_train_loss") == 2.0


def test_of_seeds_that_blew_up_the_one_with_the_median_step_is_told(tmp_path: Path) -> None:
    steps = {0: 9, 1: 3, 2: 5}
    made = [Made([*[1.0] * k, inf], seed=seed, status="diverged") for seed, k in steps.items()]
    line = said(tmp_path, made)
    assert line.startswith("lr 0.1 blew up at step 5: its loss or a weight overflowed (all 3 seeds")
    assert "(all 3 seeds; the figures are of seed 2)." in line


def test_the_rate_and_the_floor_stand_beside_the_measured_ones(tmp_path: Path) -> None:
    one = account(tmp_path, [descent(0.05, epochs=200)], bowl())
    change = "Each step now changes the gradient norm by -5%; theory says -5% in the long run."
    assert explanation(one).endswith(change)
    assert "A step" not in explanation(replace(one, rate=None))
    floor = [{"batch_size": 4, "lr": 0.1, "excess": 0.01, "mean": 0.01}]
    drawn = {"experiment": {"problem": "p", "settings": {"grid": {"order": "replacement"}}}}
    sgd = Made([1.0, *[0.01, 0.012] * 20], method="minibatch", batch_size=4)
    noisy = bowl(floors=floor, examples=100)
    noisy.goals = RunConstants({**drawn, "data": {}, "theory": []}).goals
    line = "is at its noise floor: 0.011 above the least loss on average; theory says 0.01."
    assert line in said(tmp_path, [sgd], noisy)


def given_setting(**changed: Value) -> dict[str, Value]:
    plain: dict[str, Value] = {
        "method": "gd",
        "batch_size": 1,
        "optimizer": "vanilla",
        "schedule": "constant",
    }
    return {**plain, **changed}


def expect(facts: ProblemConstants | None, goals: Goals = GOALS, **changed: Value) -> Expectation:
    found = expectation(given_setting(**changed), 0.05, facts, goals)
    assert found is not None
    return found


def test_varied_fields_of_an_optimizer_are_read_from_the_settings() -> None:
    varied = {"momentum.beta": 0.5, "weight_decay": 0.25, "clip_norm": None}
    given = {**given_setting(optimizer="momentum"), **varied}
    found = expectation(given, 0.05, BOWL, GOALS)
    assert found is not None
    assert found.optimizer == Momentum(beta=0.5, weight_decay=0.25)
    assert found.limit == Limit(2 * 1.5 / 10.25, exact=True)
    assert found.rate is None  # the minimiser is another with weight decay


def test_nothing_is_expected_of_what_theory_does_not_cover() -> None:
    assert expect(BOWL, schedule="cosine") == Expectation(Vanilla())
    assert expect(None) == Expectation(Vanilla())
    assert expect(BOWL, optimizer="adam").limit is None
    assert expectation(given_setting(optimizer="mine"), 0.1, BOWL, GOALS) is None
    flat = BOWL._replace(curvature=Curvature(10.0, 1e-16, exact=True, every_batch=True))
    assert expect(flat).rate is None


def test_batches_have_a_limit_only_where_all_have_the_same_curvature() -> None:
    assert expect(BOWL, method="sgd").limit == Limit(0.2, exact=True)
    assert expect(BOWL, method="sgd").rate is None
    least_squares = BOWL._replace(curvature=Curvature(10.0, 1.0, exact=True, every_batch=False))
    assert expect(least_squares, method="sgd").limit is None
    bounded = BOWL._replace(curvature=Curvature(10.0, 0.0, exact=False, every_batch=False))
    assert expect(bounded).limit == Limit(0.2, exact=False)
    assert expect(bounded, optimizer="momentum").limit is None


def test_a_floor_is_claimed_of_plain_sgd_with_replacement_alone() -> None:
    known = Floor(4, 0.05, excess=0.3, mean=0.2)
    noisy = BOWL._replace(examples=100, floors=(Floor(8, 0.05, 0.1, 0.1), known))
    drawn = GOALS._replace(order="replacement")
    assert expect(noisy, drawn, method="minibatch", batch_size=4).floor == known
    assert expect(noisy, drawn, method="minibatch", batch_size=2).floor is None
    assert expect(BOWL, drawn, method="minibatch", batch_size=4).floor is None
    plain: list[tuple[Goals, dict[str, Value]]] = [
        (GOALS, {"method": "minibatch"}),
        (drawn, {"method": "gd"}),
        (drawn, {"method": "minibatch", "optimizer": "momentum"}),
        (drawn, {"method": "minibatch", "clip_norm": 1.0}),
        (drawn, {"method": "minibatch", "schedule": "cosine"}),
    ]
    for goals, changed in plain:
        assert expect(noisy, goals, **{"batch_size": 4, **changed}).floor is None


@given(st.floats(0.5, 1.5), st.integers(8, 60))
def test_a_geometric_rate_is_measured_exactly(rate: float, points: int) -> None:
    steps = range(0, 3 * points, 3)
    assert measured_rate(steps, [7 * rate**step for step in steps]) == pytest.approx(rate, rel=1e-9)


def test_a_rate_is_measured_before_rounding_and_only_from_enough_points() -> None:
    norms = [0.5**step for step in range(34)]
    assert measured_rate(range(100), [*norms, *[3e-16] * 66]) == pytest.approx(0.5)
    assert measured_rate(range(3), [1.0, 0.5, 0.25]) is None
    assert measured_rate([0, 1, 2, 4, 8, 16, 32, 64], [0.9**s for s in range(8)]) is None
    assert measured_rate([], []) is None
    assert measured_rate(range(10), [nan] * 10) is None
    assert measured_rate(range(10), [0.0] * 10) is None


def test_other_limits_judge_anew(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made(FALLING), Made([], status="failed")])
    run = read_trials(folder)
    usual = [one.state for _, one in Diagnoses(run, None).all()]
    loose = [one.state for _, one in Diagnoses(run, None, Limits(flat=10.0)).all()]
    assert (usual, loose) == (["still falling", None], ["flat", None])
    run = read_trials(write_run(tmp_path, [Made([1.0, *[0.2, 0.9] * 25, 0.2])]))
    (calm,) = (one.state for _, one in Diagnoses(run, None, Limits(swing=2.0)).all())
    assert calm == "flat"


def test_a_goal_that_was_reached_stays_reached(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, [Made([1.0] * 20, stopped_by="tol")]))
    ((_, found),) = Diagnoses(run, bowl({"tol": 0.1}), Limits(near=1e-20)).all()
    assert found.state == "reached its goal"


def test_the_facts_are_those_of_the_settings_options() -> None:
    def entry(condition: str, minimum: float) -> dict[str, object]:
        curvature = {"largest": 1.0, "smallest": 0.5, "exact": True, "every_batch": False}
        floors = [{"batch_size": 2, "lr": 0.1, "excess": None, "mean": None}]
        own = {"examples": 9, "minimum": minimum, "curvature": curvature, "floors": floors}
        return {"problem": condition, "options": {"condition": condition}, **own}

    named = {"problem": "bowl", "settings": {"grid": {}}}
    data = {"10.0": "abc", "20.0": "def"}
    theory = RunConstants(
        {"experiment": named, "data": data, "theory": [entry("10.0", 1.0), entry("20.0", 2.0)]}
    )
    found = theory.of(("method", "condition"), ("gd", 20.0))
    curvature = Curvature(1.0, 0.5, exact=True, every_batch=False)
    assert found == ProblemConstants(9, 2.0, curvature, (Floor(2, 0.1, inf, inf),), "bowl 20.0 def")
    assert theory.of(("method", "condition"), ("gd", 30.0)) is None


@pytest.mark.parametrize(
    "damage",
    [
        *({"theory": None}, {"theory": [{}]}, {"theory": [{"problem": "bowl"}]}),
        *({"experiment": {"settings": {"grid": {"tol": tol}}}} for tol in ("0.1", [0.1], True)),
    ],
)
def test_a_damaged_manifest_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"manifest\.json: it does not say what theory needs"):
        RunConstants({**NOTHING, **damage})


def test_the_best_rate_and_the_least_that_diverged_are_notable(tmp_path: Path) -> None:
    trials = [descent(lr, seed) for lr in (0.01, 0.1, 1.0, 2.0) for seed in range(3)]
    (setting,) = settings_of(read_trials(write_run(tmp_path, trials)).trials)
    assert [cell.lr for cell in notable(setting)] == [0.1, 1.0]


def test_of_many_settings_the_best_are_explained(tmp_path: Path) -> None:
    trials = [Made([200.0, float(k)], varied=[k]) for k in range(1, 15)]
    folder = write_run(tmp_path, trials, ["width"])
    run = read_trials(folder)
    settings = settings_of(run.trials)
    labels = [f"width {k}" for k in range(1, 15)]
    *lines, rest = why_lines(folder, Diagnoses(run, RunConstants(NOTHING)), settings, labels)
    assert [line.partition(":")[0] for line in lines] == labels[:10]
    assert rest == "4 more settings: --view why --format csv, in the column explanation"


def test_a_run_without_facts_is_explained_without_theory(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid())
    run = read_trials(folder)
    settings = settings_of(run.trials)
    lines = why_lines(folder, Diagnoses(run, None), settings, ["a", "b"])
    assert [line.partition(": ")[0] for line in lines] == ["a", "a", "b", "b"]
