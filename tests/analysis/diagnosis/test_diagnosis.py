"""What is said of trials that a teacher would know at a glance."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gdcli.analysis.diagnosis.case import Case
from gdcli.analysis.diagnosis.diagnosis import Diagnosis, diagnose
from gdcli.analysis.diagnosis.evidence import DescentSettings, Evidence, Known, Observed
from gdcli.analysis.diagnosis.verdict import Limits, found, qualities, states, verdicts
from gdcli.numbers import percent
from tests.grids import experiment
from tests.words.measure import evidence_of

DATA = Path(__file__).parents[2] / "words/data"
HOUSING = {"data": str(DATA / "housing.csv"), "target": "value", "scale": "none"}
SLOPE = {"formula": "x**2 - y**2", "start": "1,0.0001"}
NOISY = {"condition": 10, "noise": 1, "examples": 512}
SMALL = {"method": ["minibatch"], "batch-size": [8], "order": "replacement"}


def said(problem: str, options: dict[str, Any], **grid: Any) -> list[Diagnosis]:
    named = {name.replace("_", "-"): value for name, value in grid.items()}
    return [diagnose(one) for one in evidence_of(experiment(problem, options, **named)).values()]


def only(problem: str, options: dict[str, Any], **grid: Any) -> Diagnosis:
    (one,) = said(problem, options, **grid)
    return one


@pytest.mark.parametrize(
    ("problem", "options", "grid", "state", "quality", "words"),
    [
        # The loss has no minimum: the rate is not at fault.
        (
            "expression",
            SLOPE,
            {"lr": [0.1], "steps": 200},
            "blew up",
            "unbounded below",
            "step 108",
        ),
        # At and above the limit, whatever the loss looks like and however short the run.
        ("quadratic", {}, {"lr": [0.2], "steps": 200}, "bouncing", None, "at the limit 2/L = 0.2"),
        ("quadratic", {}, {"lr": [0.2], "steps": 3}, "bouncing", None, "for ever"),
        (
            "quadratic",
            {},
            {"lr": [0.201], "steps": 5},
            "bouncing",
            "above its start",
            "diverges in the end",
        ),
        (
            "quadratic",
            {},
            {"lr": [0.3], "steps": 200},
            "blew up",
            None,
            "above the limit 2/L = 0.2",
        ),
        # Bouncing that no theory tells.
        (
            "expression",
            {"formula": "w**2", "start": "3"},
            {"lr": [1], "steps": 50},
            "bouncing",
            None,
            "straight back",
        ),
        (
            "expression",
            {"formula": "abs(w)", "start": "1.05"},
            {"lr": [0.1], "steps": 40},
            "bouncing",
            None,
            "straight back",
        ),
        # As good as done.
        (
            "linear-regression",
            {},
            {"lr": [0.3162], "epochs": 50},
            "flat",
            "at the minimum",
            "loss 1427, the least possible is 1421",
        ),
        (
            "quadratic",
            {},
            {"lr": [0.1], "epochs": 60},
            "flat",
            "at the minimum",
            "the least possible is 0",
        ),
        # The rate has run out.
        (
            "quadratic",
            {"condition": 1000},
            {"schedule": ["cosine"], "lr": [0.001], "steps": 200},
            "flat",
            "ended by its schedule",
            "ends at about 0",
        ),
        # Features of unlike scales.
        (
            "linear-regression",
            HOUSING,
            {"lr": [1e-9], "epochs": 50},
            "flat",
            "ill-conditioned",
            "condition number is 4.1",
        ),
        # A network whose gradient is 0 from the start on.
        (
            str(DATA / "dead.py"),
            {},
            {"lr": [0.01], "seed": [1], "epochs": 20},
            "flat",
            "dead",
            "0 from the start",
        ),
        # Stationary, and no minimum.
        (
            "expression",
            {"formula": "cos(w)", "start": "0"},
            {"lr": [0.1], "steps": 40},
            "flat",
            "at a saddle",
            "curves down",
        ),
        (
            "saddle",
            {"start": "1,0"},
            {"lr": [0.1], "epochs": 300},
            "flat",
            "at a saddle",
            "curves down",
        ),
        # Weight decay has a minimum of its own.
        (
            "linear-regression",
            {},
            {"weight-decay": [0.1], "lr": [0.3], "epochs": 40},
            "flat",
            "with weight decay",
            "above the least loss",
        ),
        # Exploded, though the gradient is bounded and nothing overflows.
        (
            "logistic-regression",
            {"scale": "none"},
            {"lr": [1], "epochs": 50},
            "blew up",
            None,
            "its loss is above its start; it starts at ",
        ),
        (
            "logistic-regression",
            {},
            {"lr": [0.1], "epochs": 50, "target-loss": 0.0577},
            "still falling",
            "target below the minimum",
            "cannot reach its target",
        ),
        (
            "quadratic",
            {},
            {"optimizer": ["momentum"], "lr": [0.3], "epochs": 50},
            "still falling",
            "too much momentum",
            "is the fastest",
        ),
        (
            "quadratic",
            {},
            {"lr": [0.1], "epochs": 600, "tol": 1e-3},
            "reached its goal",
            "at the minimum",
            "after 66 steps",
        ),
        ("quadratic", {}, {"lr": [0.1], "epochs": 3}, "too few points to tell", None, "4 points"),
    ],
)
def test_what_a_teacher_would_say(  # noqa: PLR0913, PLR0917 -- a row of a table
    problem: str,
    options: dict[str, Any],
    grid: dict[str, Any],
    state: str,
    quality: str | None,
    words: str,
) -> None:
    one = only(problem, options, **grid)
    assert (one.state, one.quality) == (state, quality)
    assert words in one.phrase


def test_sgd_at_a_constant_rate_is_at_its_noise_floor_and_gets_no_forecast() -> None:
    found = said("quadratic", NOISY, **SMALL, lr=[0.05], epochs=40, seed=[0, 1, 2, 3])
    assert [one.quality for one in found] == ["at its noise floor"] * 4
    assert [one.forecast for one in found] == [None] * 4
    assert "not more epochs" in found[0].advice


def test_overfitting_is_told_beside_what_leads() -> None:
    options = {"dataset": "synthetic", "features": 60, "examples": 100, "noise": 1}
    one = only("linear-regression", options, lr=[0.1], epochs=1000)
    assert one.qualities == ("at the minimum", "past its best test loss")
    assert "past its best test loss" in one.phrase
    assert one.advice.startswith("Stop earlier")


def test_a_test_loss_that_still_falls_is_no_overfitting() -> None:
    fall = tuple(10 * 0.5**k for k in range(16))
    seen = replace(
        _flat().observed,
        final_train_loss=fall[-1] / 2,
        levels=fall,
        lowest_test_loss=fall[-1] / 2,
        lowest_test_step=100.0,
        late_test_loss=fall[-1],
    )
    evidence = Evidence(seen, DescentSettings(0.1, horizon=100))
    assert "past its best test loss" not in diagnose(evidence).qualities
    risen = replace(seen, lowest_test_step=50.0)
    assert "past its best test loss" in diagnose(replace(evidence, observed=risen)).qualities


@pytest.mark.parametrize("record", ["epoch", "5", "log"])
def test_a_trajectory_has_one_diagnosis_however_it_is_recorded(record: str) -> None:
    grid = {"optimizer": ["momentum"], "lr": [0.3], "epochs": 60}
    one, other = only("quadratic", {}, **grid, record=record), only("quadratic", {}, **grid)
    assert (one.state, one.qualities) == (other.state, other.qualities)
    assert (one.phrase, one.advice) == (other.phrase, other.advice)


@pytest.mark.parametrize("optimizer", ["adamw+ema", "adamw"])
def test_the_loss_of_an_average_is_no_reason_for_a_larger_rate(optimizer: str) -> None:
    grid = {"method": "minibatch", "optimizer": optimizer, "lr": "0.003", "epochs": "12"}
    found = only("mlp", {"dataset": "iris"}, **grid)
    assert ("raw_train_loss" in found.advice) == (optimizer == "adamw+ema")
    assert ("larger learning rate" in found.advice) == (optimizer == "adamw")


def test_a_forecast_names_its_goal_and_comes_true() -> None:
    one = only("quadratic", {"condition": 1000}, lr=[0.0015], epochs=500)
    assert one.forecast is not None
    assert one.advice == (
        "It needs about 880 to 1200 more steps until the gap to the least loss is 0.001% of the "
        "fall so far. Use momentum or Adam."
    )
    longer = only("quadratic", {"condition": 1000}, lr=[0.0015], epochs=500 + 1200)
    assert longer.level is not None
    assert longer.level <= one.forecast.goal


@pytest.mark.parametrize(
    "grid",
    [
        {"schedule": ["cosine"]},
        {"weight-decay": [0.1]},
        {"clip-norm": [10.0]},
        {"target-loss": -1.0},
    ],
)
def test_where_the_gap_keeps_no_pace_there_is_no_forecast(grid: dict[str, Any]) -> None:
    assert only("quadratic", {}, lr=[0.05], epochs=40, **grid).forecast is None
    assert only("quadratic", {}, lr=[0.05], epochs=40).forecast is not None


def test_a_failed_trial_has_no_words() -> None:
    one = diagnose(Evidence(Observed("failed"), DescentSettings(0.1)))
    assert (one.state, one.qualities, one.phrase, one.advice) == (None, (), "", "")


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_trial_that_nothing_is_known_of_raises_nothing(status: str) -> None:
    one = diagnose(Evidence(Observed(status), DescentSettings(0.1)))
    assert one.state == "blew up"  # without a last loss


def test_every_verdict_has_a_word_a_place_and_a_phrase() -> None:
    assert [*states(), *qualities()] == sorted(found(), key=lambda word: word in qualities())
    for kinds in (states(), qualities()):
        orders = [kind.order for kind in kinds.values()]
        assert orders == sorted(set(orders))  # one place each
    assert all(kind.__doc__ for kind in found().values())
    for one in verdicts(Limits()).states[1:]:
        assert one.word == "reached its goal" or one.phrase(_case(_flat()))


def test_the_order_of_the_verdicts() -> None:
    assert [*states()] == [
        *("blew up", "reached its goal", "bouncing", "too few points to tell", "still falling"),
        "flat",
    ]
    assert [*qualities()] == [
        *("unbounded below", "dead", "at a saddle", "at the minimum", "never moved"),
        *("all examples right", "ended by its schedule", "at its noise floor", "ill-conditioned"),
        *("chance level", "with weight decay", "too much momentum", "clipped"),
        *("above its start", "past its best test loss", "target below the minimum"),
    ]


def _flat() -> Evidence:
    levels = (1.0,) * 16
    seen = Observed("finished", "", 100, 65, 2.0, 1.0, 3.0, 0.5, levels=levels)
    return Evidence(seen, DescentSettings(0.1, horizon=100), Known())


def _case(evidence: Evidence) -> Case:
    return Case(evidence, Limits())


@pytest.mark.parametrize(
    ("after", "at", "words"), [(72, 73, "at step 73"), (60, 73, "between steps 60 and 73")]
)
def test_a_blow_up_is_dated_as_closely_as_it_is_known(after: int, at: int, words: str) -> None:
    seen = replace(
        _flat().observed, status="diverged", diverged_after=after, diverged_at=at, diverged_by="nan"
    )
    one = diagnose(Evidence(seen, DescentSettings(0.1)))
    assert words in one.phrase
    assert "NaN" in one.phrase


def test_no_learning_rate_is_advised_where_no_step_was_taken() -> None:
    seen = replace(_flat().observed, status="diverged", diverged_after=0, diverged_at=0)
    one = diagnose(Evidence(replace(seen, diverged_by="nan"), DescentSettings(0.1)))
    assert one.advice.startswith("No step was taken, so no learning rate helps")


def test_growth_is_no_overflow() -> None:
    seen = replace(
        _flat().observed, status="diverged", diverged_at=9, diverged_by="growth", diverged_after=8
    )
    phrase = diagnose(Evidence(seen, DescentSettings(0.1))).phrase
    assert "--diverge-at" in phrase
    assert "overflow" not in phrase


@pytest.mark.parametrize("levels", [3, 6])
def test_below_seven_points_nothing_is_told(levels: int) -> None:
    known = tuple([1.0] * levels + [None] * (16 - levels))
    seen = replace(_flat().observed, watched=levels + 1, levels=known)
    one = diagnose(Evidence(seen, DescentSettings(0.1, horizon=100)))
    assert one.state == ("flat" if levels + 1 >= 7 else "too few points to tell")


def test_shares_are_never_rounded_to_nothing() -> None:
    assert [percent(x) for x in (0.5, 0.00052, 1e-9, 0.0)] == [
        *("50%", "0.052%", "less than 0.0001%", "0%")
    ]


def test_the_diagnosis_reads_no_arrays() -> None:
    code = (
        "import sys; import gdcli.analysis.diagnosis.diagnosis; "
        "print(*({'numpy', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_weight_decay_is_no_noise() -> None:
    grid = {"method": ["sgd"], "weight_decay": [0.1], "lr": [0.001], "epochs": 20}
    found = only("linear-regression", {}, **grid)
    assert found.qualities[0] == "with weight decay"
    assert "at its noise floor" not in found.qualities
    assert found.phrase.endswith("above the least loss, with a weight decay of 0.1")
    assert found.advice == "Try less weight decay, larger batches or a smaller learning rate."


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_weight_decay_holds_no_loss_of_which_too_little_is_seen(steps: int) -> None:
    found = only("quadratic", {}, optimizer=["adamw"], lr=[0.1], steps=steps)
    assert found.state == "too few points to tell"
    assert not found.qualities


def test_one_step_at_chance_level_asks_for_more_epochs() -> None:
    found = only("mlp", {"dataset": "iris", "hidden": "8"}, lr=[0.01], epochs=1)
    assert found.state == "too few points to tell"
    assert found.advice == "Give it more epochs."


def test_a_budget_in_steps_is_made_longer_in_steps() -> None:
    found = only("mlp", {"dataset": "iris", "hidden": "8"}, lr=[0.01], steps=1)
    assert found.advice == "Give it more steps."


def test_the_weight_decay_of_rules_put_together_is_named() -> None:
    grid = {"optimizer": ["vanilla+lookahead"], "weight_decay": [0.1], "epochs": 3000}
    found = only("linear-regression", {}, lr=[0.05], **grid)
    assert "with weight decay" in found.qualities


def test_a_rate_that_changes_nothing_is_said_to_be_too_small() -> None:
    found = only("mlp", {"dataset": "iris"}, lr=[1e-9], epochs=30)
    assert found.state == "flat"
    assert found.advice.startswith("Use a far larger learning rate")
    assert found.other_lr == "larger"


def test_no_seed_is_advised_where_seeds_change_nothing() -> None:
    found = only("expression", {"formula": "w**4", "start": "2"}, lr=[0.01], steps=1000)
    assert found.state == "flat"
    assert "seed" not in found.advice


def test_a_rate_that_blows_up_at_once_is_not_told_to_try_a_tenth() -> None:
    found = only("expression", {"formula": "w**2", "start": "3"}, lr=[1e12], steps=20)
    assert found.advice == "Use a far smaller learning rate than 1e+12."


def test_a_formula_that_is_not_defined_is_not_told_to_slow_down() -> None:
    found = only("expression", {"formula": "log(w)", "start": "1"}, lr=[0.1], steps=100)
    assert found.state == "blew up"
    assert found.advice.startswith("Its loss had not risen: check whether the loss")


def test_what_bounces_is_at_no_local_minimum_and_a_swing_is_no_share_of_nothing() -> None:
    grid = {"optimizer": ["sign-sgd"], "lr": [0.1], "steps": 100}
    found = only("expression", {"formula": "w**2", "start": "1e-8"}, **grid)
    assert (found.state, found.qualities) == ("bouncing", ())
    assert "%" not in found.phrase


def test_noise_that_lifts_a_loss_above_a_start_near_the_least_is_no_blow_up(
    tmp_path: Path,
) -> None:
    # Exclusive or: no line is better than guessing, so that the start is almost the least loss.
    corners = [(x, y, int((x > 0) != (y > 0))) for x in (-2, -1, 1, 2) for y in (-2, -1, 1, 2)]
    rows = [f"{x},{y},{label}" for x, y, label in corners * 8]
    (tmp_path / "xor.csv").write_text("\n".join(["x,y,label", *rows]))
    options = {"data": str(tmp_path / "xor.csv"), "target": "label"}
    found = only("logistic-regression", options, method=["sgd"], lr=[0.5], epochs=20)
    assert found.state == "flat"
    assert found.qualities[0] == "chance level"


def test_a_forecast_leaves_the_advice_of_what_is_ill_conditioned() -> None:
    found = only("quadratic", {"condition": 10000}, lr=[0.0001], steps=500)
    assert found.state == "still falling"
    assert "times as many steps" in found.advice
    assert found.advice.endswith("Use momentum or Adam.")


def test_a_network_that_weight_decay_holds_at_chance_level_is_told_to_use_less() -> None:
    grid = {"method": ["minibatch"], "lr": [0.1], "weight_decay": [0.5], "epochs": 20}
    found = only("mlp", {"dataset": "wine", "hidden": "8"}, **grid)
    assert found.qualities[0] in ("chance level", "dead")
    assert "less weight decay" in found.advice


def test_a_leap_to_a_far_plateau_is_no_minimum() -> None:
    # The infimum, 0, is nowhere reached.
    for formula, start, lr in (("1/(1+exp(-w))", "10", 1000), ("1/(w-1)**2", "1.0001", 0.1)):
        found = only("expression", {"formula": formula, "start": start}, lr=[lr], steps=200)
        assert (found.state, found.qualities) == ("flat", ())


@pytest.mark.parametrize(
    ("accuracy", "recall", "words"),
    [
        (0.98, None, "is no better than always answering 'no': training accuracy 98%"),
        (0.98000005, None, "is no better than always answering 'no'"),  # in float32
        (0.981, None, "is hardly better than always answering 'no'"),
        (0.99, None, ""),
        (0.98, 0.5, "is no better than always answering 'no': balanced training accuracy 50%"),
        (0.9, 0.8, ""),  # fewer right answers, but the rare class is seen
    ],
)
def test_a_classifier_is_compared_with_always_the_same_answer(
    accuracy: float, recall: float | None, words: str
) -> None:
    observed = Observed(
        status="finished",
        steps=100,
        watched=100,
        initial_train_loss=0.7,
        final_train_loss=0.0981 if accuracy < 0.985 and recall is None else 0.03,
        lowest_train_loss=0.0981,
        highest_train_loss=0.7,
        final_grad_norm=0.5,
        largest_grad_norm=1.0,
        final_train_accuracy=accuracy,
        final_train_balanced_accuracy=recall,
    )
    known = Known(
        network=True,
        classifier=True,
        baseline_loss=0.098,
        majority_train=0.98,
        majority="no",
        majority_recall=0.5 if recall is not None else None,
    )
    found = diagnose(Evidence(observed, DescentSettings(lr=0.1, horizon=100), known))
    assert ("chance level" in found.qualities) == bool(words)
    assert words in found.phrase


@pytest.mark.parametrize(("base", "said"), [(1.0, "no better"), (1.004, "hardly better")])
def test_what_is_a_little_below_the_mean_is_hardly_better(base: float, said: str) -> None:
    flat = _flat()
    network = Known(network=True, baseline_loss=base)
    one = diagnose(Evidence(flat.observed, flat.descent, network))
    assert one.qualities == ("chance level",)
    losses = f"loss 1, that of the mean is {base:.4g}"
    assert f"is {said} than predicting the mean: {losses}" in one.phrase


@pytest.mark.parametrize("optimizer", ["adgd", "barzilai-borwein"])
def test_no_other_learning_rate_is_advised_where_steps_follow_from_gradients(
    optimizer: str,
) -> None:
    why = "its steps follow from its gradients, not from the learning rate."
    grid: dict[str, Any] = {"optimizer": [optimizer], "lr": [0.1], "epochs": 20}
    assert only("logistic-regression", {}, **grid).advice == f"Give it more epochs: {why}"
    noisy = only("logistic-regression", {}, method=["minibatch"], **grid)
    assert noisy.state != "flat" or noisy.advice == f"Use larger batches: {why}"


def test_a_flat_loss_above_the_least_may_fall_again_if_its_rule_is_not_linear() -> None:
    grid: dict[str, Any] = {"optimizer": ["adgd"], "lr": [0.1], "epochs": 20}
    (flat,) = evidence_of(experiment("logistic-regression", {}, **grid)).values()
    advice = {
        optimizer: diagnose(
            replace(flat, descent=replace(flat.descent, optimizer=optimizer))
        ).advice
        for optimizer in ("adam", "momentum")
    }
    least = "Lower losses are possible, down to 0.05885: "
    assert advice["adam"] == f"{least}give it more epochs, or try other learning rates."
    assert advice["momentum"] == f"{least}try other learning rates."


def test_a_mean_loss_that_rises_again_is_at_no_noise_floor() -> None:
    found = only("linear-regression", {}, method=["minibatch"], optimizer=["sag"], epochs=40)
    assert found.state == "bouncing"
    assert found.phrase.startswith("rises again: from ")
    assert found.advice.startswith("Use a smaller learning rate, such as 0.05")


@pytest.mark.parametrize("optimizer", ["saga", "schedule-free-sgd", "vanilla+swa"])
def test_a_rule_that_calms_the_noise_is_at_no_noise_floor(optimizer: str) -> None:
    grid: dict[str, Any] = {"method": ["minibatch"], "optimizer": [optimizer], "lr": [0.3]}
    for epochs in (3, 10, 30):
        found = only("logistic-regression", {"l2": "0.01"}, epochs=epochs, **grid)
        assert "at its noise floor" not in found.qualities
        assert "not more epochs" not in found.advice


def test_an_average_that_lags_is_not_slowed_down_by_its_schedule() -> None:
    grid: dict[str, Any] = {"method": ["minibatch"], "schedule": ["wsd"], "lr": [0.1]}
    found = only("mlp", {"dataset": "iris"}, optimizer=["adamw+ema"], epochs=12, **grid)
    assert "ended by its schedule" not in found.qualities
    assert "average fewer steps" in found.advice


def test_a_rule_that_stops_at_its_bound_is_told_of_it() -> None:
    options = {"formula": "(w-2)**2-5", "start": "9"}
    found = only("expression", options, optimizer=["polyak"], lr=[1], steps=200)
    assert found.state == "flat"
    assert found.advice.startswith("Give it the least possible loss: its steps shrink as the loss")
    assert "polyak.lower-bound" in found.advice
