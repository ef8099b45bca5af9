"""A diagnosis never raises, and never says what is no sentence, whatever the facts are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.diagnosis.diagnosis import diagnose
from gdcli.analysis.diagnosis.evidence import DescentSettings, Evidence, Known, Observed
from gdcli.analysis.diagnosis.verdict import qualities, states
from gdcli.measure import STRETCHES

numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e300, float("inf")]), st.floats(-1e6, 1e6)
)
sizes = st.one_of(st.sampled_from([0.0, 1.0, 1e-300, 1e300]), st.floats(0, 1e6))
shares = st.floats(0, 1)
counts = st.integers(0, 1000).map(float)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def of_each(kinds: dict[str, st.SearchStrategy[Any]]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: values for names, values in kinds.items() for name in names.split()}


observed = st.builds(
    Observed,
    **of_each(
        {
            "status": st.sampled_from(["finished", "diverged", "failed"]),
            "stopped_by": st.sampled_from(["", "tol", "target"]),
            "diverged_by": st.sampled_from(["", "growth", "overflow", "nan"]),
            "steps watched late_rises lowest_test_step diverged_after": maybe(counts),
            "diverged_at above_start_from": maybe(counts),
            "initial_train_loss final_train_loss lowest_train_loss": maybe(numbers),
            "highest_train_loss lowest_test_loss late_test_loss": maybe(numbers),
            "lowest_curvature final_sharpness": maybe(numbers),
            "largest_grad_norm final_grad_norm": maybe(sizes),
            "largest_late_rise late_swing": maybe(sizes),
            "gradient_turn": maybe(st.floats(-1, 1)),
            "dead_units final_train_accuracy": maybe(shares),
            "levels": st.lists(maybe(numbers), min_size=STRETCHES, max_size=STRETCHES).map(tuple),
        }
    ),
)
descents = st.builds(
    DescentSettings,
    lr=st.floats(1e-9, 1e9),
    method=st.sampled_from(["gd", "sgd", "minibatch"]),
    optimizer=st.sampled_from(["vanilla", "momentum", "adam", "sign-sgd"]),
    beta=maybe(st.floats(0, 0.99)),
    schedule=st.sampled_from(["constant", "cosine"]),
    end_multiplier=shares,
    weight_decay=sizes,
    clip_norm=maybe(st.floats(0.1, 10)),
    steps_per_epoch=st.integers(1, 50),
    horizon=maybe(st.integers(1, 1000)),
    tol=maybe(sizes),
    target_loss=maybe(numbers),
)
knowns = st.builds(
    Known,
    minimum=maybe(st.floats(-1e6, 1e6)),
    attained=st.booleans(),
    bound=maybe(st.just(0.0)),
    convex=maybe(st.just(True)),  # noqa: FBT003 -- a strategy
    network=st.booleans(),
    classifier=st.booleans(),
    baseline_loss=maybe(sizes),
    majority_train=maybe(shares),
    limit=maybe(st.floats(1e-9, 1e9)),
    limit_exact=st.booleans(),
    rate=maybe(st.floats(0, 3)),
    floor=maybe(sizes),
    condition=maybe(st.floats(1, 1e12)),
    best_beta=maybe(shares),
    scaled=maybe(st.booleans()),
)


@given(st.builds(Evidence, observed, descents, knowns))
def test_any_facts_have_a_diagnosis(evidence: Evidence) -> None:
    one = diagnose(evidence)
    assert (one.state is None) == (evidence.observed.status == "failed")
    assert one.state is None or one.state in set(states())
    assert set(one.qualities) <= set(qualities())
    for text in (one.phrase, one.advice):
        assert "None" not in text
        assert "nan" not in text
        assert "  " not in text
    assert not one.advice or one.advice.endswith(".")
    if one.forecast is not None:
        assert one.forecast.least >= 0
        assert one.forecast.most is None or one.forecast.least <= one.forecast.most
