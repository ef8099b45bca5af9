"""Which examples each step sees: the laws of every order, and of the streams they come from."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.engine.plan import Plan
from gdcli.engine.sampling import Orders, at_block, stream

POLICIES = ["shuffle", "fixed", "replacement"]


def plan(examples: int, batch: int, *, keep: bool = True) -> Plan:
    """Return the plan of ten epochs."""
    steps = -(-examples // batch) if keep else examples // batch
    return Plan(examples, batch, steps, 10 * steps, "epoch")


def batches(orders: Orders, first: int, last: int, most: int = 1000) -> list[np.ndarray]:
    """Return the batch of every step, each of shape (seeds, examples)."""
    return [step for block in orders.blocks(first, last, most) for step in block]


def epoch(orders: Orders, number: int) -> np.ndarray:
    """Return the examples of an epoch, shape (seeds, examples)."""
    steps = orders.plan.steps_per_epoch
    return np.concatenate(batches(orders, number * steps, (number + 1) * steps), axis=1)


def test_every_epoch_of_shuffle_is_a_permutation_of_its_own() -> None:
    orders = Orders("mlp", (0, 1), plan(50, 8), "shuffle")
    epochs = [epoch(orders, i) for i in range(4)]
    for order in epochs:
        assert order.shape == (2, 50)
        assert (np.sort(order) == np.arange(50)).all()
    assert len({order.tobytes() for order in epochs}) == 4
    assert all((order[0] != order[1]).any() for order in epochs)


def test_shuffle_draws_every_permutation_equally_often() -> None:
    orders = Orders("mlp", (0,), plan(3, 3), "shuffle")
    counts = Counter(tuple(epoch(orders, i)[0].tolist()) for i in range(3000))
    assert len(counts) == 6
    assert max(abs(n - 500) for n in counts.values()) < 5 * 500**0.5


def test_fixed_repeats_one_partition() -> None:
    orders = Orders("mlp", (0, 1), plan(50, 8), "fixed")
    first = epoch(orders, 0)
    assert (np.sort(first) == np.arange(50)).all()
    assert (first[0] != first[1]).any()
    assert all((epoch(orders, i) == first).all() for i in range(1, 4))
    assert (first == epoch(Orders("mlp", (0, 1), plan(50, 8), "shuffle"), 0)).all()


def test_replacement_draws_every_example_equally_often_and_some_twice() -> None:
    orders = Orders("mlp", (0,), plan(50, 8), "replacement")
    epochs = [epoch(orders, i)[0] for i in range(400)]
    counts = np.bincount(np.concatenate(epochs), minlength=50)
    assert len(counts) == 50
    assert np.abs(counts - 400).max() < 5 * 400**0.5
    # Of n draws from n, a share 1/e of the examples is never drawn.
    missed = np.mean([50 - len(set(order.tolist())) for order in epochs]) / 50
    assert missed == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_remainder_is_kept_or_dropped(policy: str) -> None:
    kept = Orders("mlp", (0, 1), plan(50, 8), policy)
    dropped = Orders("mlp", (0, 1), plan(50, 8, keep=False), policy)
    assert [batch.shape for batch in batches(kept, 0, 8)] == [(2, 8)] * 6 + [(2, 2), (2, 8)]
    assert [batch.shape for batch in batches(dropped, 0, 8)] == [(2, 8)] * 8
    assert (epoch(dropped, 3) == epoch(kept, 3)[:, :48]).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_seeds_order_does_not_know_of_other_seeds_or_batch_sizes(policy: str) -> None:
    together = Orders("mlp", (7, 3, 2**80), plan(50, 8), policy)
    for place, seed in enumerate(together.seeds):
        alone = Orders("mlp", (seed,), plan(50, 50), policy)
        for number in (2, 0, 5):
            assert (epoch(alone, number)[0] == epoch(together, number)[place]).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_problems_have_orders_of_their_own(policy: str) -> None:
    one, other = (Orders(name, (0,), plan(50, 8), policy) for name in ("mlp", "cnn"))
    assert (epoch(one, 0) != epoch(other, 0)).any()


cases = st.tuples(st.integers(2, 40), st.integers(1, 40)).filter(lambda c: c[1] <= c[0])


@given(
    case=cases,
    keep=st.booleans(),
    policy=st.sampled_from(POLICIES),
    most=st.integers(1, 50),
    cuts=st.lists(st.integers(0, 90), min_size=2, max_size=5, unique=True).map(sorted),
)
def test_blocks_of_any_length_from_any_step_are_one_sequence(
    case: tuple[int, int], *, keep: bool, policy: str, most: int, cuts: list[int]
) -> None:
    examples, batch = case
    whole = plan(examples, batch, keep=keep)
    every = batches(Orders("mlp", (0, 5), whole, policy), 0, cuts[-1])
    assert len(every) == cuts[-1]
    orders = Orders("mlp", (0, 5), whole, policy)
    pieces: list[np.ndarray] = []
    for first, last in pairwise(cuts):
        for block in orders.blocks(first, last, most):
            assert 1 <= len(block) <= most
            assert block.dtype == np.int64
            assert block.flags.c_contiguous
            pieces += list(block)
    assert len(pieces) == cuts[-1] - cuts[0]
    for ours, theirs in zip(pieces, every[cuts[0] :], strict=True):
        assert ours.tolist() == theirs.tolist()
        assert ours.min() >= 0
        assert ours.max() < examples


def test_no_steps_are_no_blocks() -> None:
    assert list(Orders("mlp", (0,), plan(50, 8), "shuffle").blocks(4, 4, 10)) == []


def test_a_stream_is_philox_under_the_hash_of_its_key() -> None:
    digest = hashlib.sha256(b"gdcli/1|cnn|3|order").digest()
    key = int.from_bytes(digest[:16], "little")
    expected = np.random.Generator(np.random.Philox(key=key)).integers(2**63, size=20)
    assert stream("cnn", 3, "order").integers(2**63, size=20).tolist() == expected.tolist()


def test_streams_are_what_they_were_when_results_were_published() -> None:
    assert stream("cnn", 3, "order").permutation(6).tolist() == [1, 0, 4, 5, 2, 3]
    assert stream("cnn", 3, "start").uniform(-1, 1, 2).tolist() == [
        -0.3726530103547354,
        -0.7178167763265453,
    ]
    assert stream("cnn", 3, "start").standard_normal(2).tolist() == [
        0.5545357217324894,
        0.0918138820038282,
    ]


def test_blocks_of_a_stream_are_far_apart_in_one_sequence() -> None:
    used = stream("mlp", 0, "order")
    for block in (1, 5, 2**40, 0):
        used.integers(2**31, size=3, dtype=np.int32)  # half of a number is left over
        jumped = stream("mlp", 0, "order").bit_generator
        assert isinstance(jumped, np.random.Philox)
        jumped.advance(block * 2**192)
        expected = np.random.Generator(jumped).integers(2**63, size=9)
        drawn = at_block(used, block).integers(2**63, size=9)
        assert drawn.tolist() == expected.tolist()


def test_keys_of_one_text_each_have_streams_of_their_own() -> None:
    keys = [("mlp", 0, "start"), ("mlp", 0, "order"), ("mlp", 1, "start"), ("cnn", 0, "start")]
    assert len({stream(*key).bytes(16) for key in keys}) == len(keys)
    assert stream("mlp", 0, "start").bytes(16) == stream("mlp", 0, "start").bytes(16)
