"""Why learning rates did what they did: the words, and the figures beside those of theory."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.expectation import Expectation, expectation
from gdcli.analysis.facts import Facts, Goals, Theory
from gdcli.analysis.judged import judged
from gdcli.analysis.measured_rate import measured_rate
from gdcli.analysis.results import settings_of
from gdcli.analysis.rows import Value
from gdcli.analysis.theory import Limit
from gdcli.analysis.thresholds import Thresholds
from gdcli.analysis.trials import read_trials
from gdcli.analysis.why import Account
from gdcli.engine.curvature import Curvature
from gdcli.engine.noise_floor import Floor
from gdcli.errors import UserError
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.vanilla import Vanilla
from gdcli.report.explanation import explanation
from gdcli.report.why import notable, why_lines
from tests.run_folders import Made, descent, grid, write_run

GOALS = Goals(tol=None, target_loss=None, order="shuffle", remainder="keep")
BOWL = Facts(1, 0.0, Curvature(10.0, 1.0, exact=True, every_batch=True))
NOTHING = {"experiment": {"settings": {"grid": {}}}, "theory": []}


def account(folder: Path, trials: list[Made], expected: Expectation | None = None) -> Account:
    (setting,) = settings_of(read_trials(write_run(folder, trials)).trials)
    (cell,) = setting.cells
    return Account(setting, cell, {}, None, expected)


def said(folder: Path, trials: list[Made], expected: Expectation | None = None) -> str:
    return explanation(account(folder, trials, expected))


def lost(lr: float, seed: int = 0, end: float = inf) -> Made:
    return Made([1.0] * 7 + [end], lr=lr, seed=seed, status="diverged")


def test_divergence_is_told_with_its_step_its_cause_and_its_limit(tmp_path: Path) -> None:
    expected = Expectation(Vanilla(), Limit(0.3125, exact=True))
    line = "lr 0.5 diverged at step 7 (overflow): 0.5 > 2/L = 0.3125"
    assert said(tmp_path, [lost(0.5)], expected) == line
    assert said(tmp_path, [lost(0.5, end=nan)]) == "lr 0.5 diverged at step 7 (NaN)"
    momentum = Expectation(Momentum(), Limit(0.4, exact=True))
    assert said(tmp_path, [lost(0.5)], momentum).endswith(": 0.5 > 2(1+beta)/L = 0.4")


def test_a_bound_that_is_only_sufficient_is_never_given_as_the_proof(tmp_path: Path) -> None:
    line = said(tmp_path, [lost(0.5)], Expectation(Vanilla(), Limit(0.25, exact=False)))
    assert "up to which convergence is certain; above, theory leaves it open" in line


@pytest.mark.parametrize(
    ("losses", "line"),
    [
        ([1.05**k for k in range(30)], "lr 0.1 diverged (growth)"),
        ([1.0, *[0.2, 0.9] * 5], "lr 0.1 oscillates: 5 overshoots, the largest 0.875 of the fall"),
        ([*[1.0] * 5, 0.0, 0.5, *[0.4] * 4], "lr 0.1 oscillates: 1 overshoot, 0.5 of the fall"),
        ([0.9**k for k in range(30)], "lr 0.1 is slow: its loss still falls"),
        ([2.0] * 30, "lr 0.1 stalled: its loss is flat, and not at a goal"),
        ([2.0], "lr 0.1 has no verdict"),
    ],
)
def test_every_verdict_is_told_with_its_figures(
    tmp_path: Path, losses: list[float], line: str
) -> None:
    assert said(tmp_path, [Made(losses)]) == line


def test_a_failed_trial_is_told_with_its_message(tmp_path: Path) -> None:
    line = said(tmp_path, [Made([], status="failed", message="boom")])
    assert line == "lr 0.1 failed: boom"


def test_a_slow_trial_is_told_with_the_epochs_left(tmp_path: Path) -> None:
    one = account(tmp_path, [Made([0.9**k for k in range(30)])])
    (trial,) = one.cell.trials
    for left, line in (
        (1041.0, "about 1040 epochs more to its goal"),
        (inf, "target is at the minimum"),
    ):
        changed = trial._replace(figures={**trial.figures, "epochs_left": left})
        assert line in explanation(replace(one, cell=replace(one.cell, trials=(changed,))))


def test_most_seeds_have_the_word_and_of_a_tie_the_worse(tmp_path: Path) -> None:
    good = [Made([0.9**k for k in range(30)], lr=0.5, seed=seed) for seed in (1, 2)]
    assert said(tmp_path, [lost(0.5), *good]).endswith(
        "is slow: its loss still falls (2 of 3 seeds)"
    )
    assert said(tmp_path, [lost(0.5), good[0]]).endswith(
        "diverged at step 7 (overflow) (1 of 2 seeds)"
    )


def test_the_rate_and_the_floor_stand_beside_the_measured_ones(tmp_path: Path) -> None:
    expected = Expectation(Vanilla(), rate=0.9, floor=Floor(1, 0.05, excess=0.01, mean=0.01))
    one = account(tmp_path, [Made([2.0] * 30)], expected)
    line = explanation(replace(one, rate=0.91, excess=0.011))
    assert "; rate a step 0.91 measured, 0.9 in theory in the long run" in line
    assert "; noise floor 0.011 measured, 0.01 in theory" in line
    assert "measured" not in explanation(one)
    unstable = expected._replace(floor=Floor(1, 0.05, inf, inf))
    assert "floor" not in explanation(replace(one, expected=unstable))


def given_setting(**changed: Value) -> dict[str, Value]:
    plain: dict[str, Value] = {
        "method": "gd",
        "batch_size": 1,
        "optimizer": "vanilla",
        "schedule": "constant",
    }
    return {**plain, **changed}


def expect(facts: Facts | None, goals: Goals = GOALS, **changed: Value) -> Expectation:
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


def test_other_thresholds_judge_anew(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([0.9**k for k in range(51)]), Made([], status="failed")])
    run, theory = read_trials(folder), Theory(NOTHING)
    assert judged(folder, run, theory, Thresholds()).trials == run.trials
    first, second = judged(folder, run, theory, Thresholds(flat=10.0)).trials
    assert (first.verdict, second.verdict) == ("stalled", "")
    bouncing = write_run(tmp_path, [Made([1.0, *[0.2, 0.9] * 25])])
    (calm,) = judged(bouncing, read_trials(bouncing), theory, Thresholds(overshoot=0.95)).trials
    assert (calm.verdict, calm.figures["overshoots"]) == ("stalled", 0)


def test_a_goal_that_was_reached_stays_reached(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([1.0] * 20)])
    run = read_trials(folder)
    theory = Theory({"experiment": {"settings": {"grid": {"tol": 0.1}}}, "theory": []})
    reached = run._replace(trials=(run.trials[0]._replace(verdict="converged"),))
    (found,) = judged(folder, reached, theory, Thresholds(near=1e-20)).trials
    assert found.verdict == "converged"


def test_the_facts_are_those_of_the_settings_options() -> None:
    def entry(condition: str, minimum: float) -> dict[str, object]:
        curvature = {"largest": 1.0, "smallest": 0.5, "exact": True, "every_batch": False}
        floors = [{"batch_size": 2, "lr": 0.1, "excess": None, "mean": None}]
        own = {"examples": 9, "minimum": minimum, "curvature": curvature, "floors": floors}
        return {"problem": condition, "options": {"condition": condition}, **own}

    named = {"problem": "bowl", "settings": {"grid": {}}}
    data = {"10.0": "abc", "20.0": "def"}
    theory = Theory(
        {"experiment": named, "data": data, "theory": [entry("10.0", 1.0), entry("20.0", 2.0)]}
    )
    found = theory.of(("method", "condition"), ("gd", 20.0))
    curvature = Curvature(1.0, 0.5, exact=True, every_batch=False)
    assert found == Facts(9, 2.0, curvature, (Floor(2, 0.1, inf, inf),), "bowl 20.0 def")
    assert theory.of(("method", "condition"), ("gd", 30.0)) is None


@pytest.mark.parametrize("damage", [{}, {"experiment": {}}, {**NOTHING, "theory": [{}]}])
def test_a_damaged_manifest_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"manifest\.json: it does not say what theory needs"):
        Theory(damage)


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
    *lines, rest = why_lines(folder, run, settings, labels, Theory(NOTHING))
    assert [line.partition(":")[0] for line in lines] == labels[:10]
    assert rest == "the other 4 settings: --view why"


def test_a_run_without_facts_is_explained_without_theory(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid())
    run = read_trials(folder)
    settings = settings_of(run.trials)
    lines = why_lines(folder, run, settings, ["a", "b"], Theory(NOTHING))
    assert [line.partition(": ")[0] for line in lines] == ["a", "a", "b", "b"]
