"""A trial has the bits that it has among eight, however many share its products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gdcli.catalog.catalog import PROBLEMS
from gdcli.engine import layout
from gdcli.engine.device import Device, NumPy, Torch
from gdcli.engine.layout import NARROWEST, WIDEST, same_bits, width_for
from gdcli.problem import LinearModel
from tests.engine.test_contract import same
from tests.grids import experiment, train

LINEAR = [n for n in PROBLEMS.names() if issubclass(PROBLEMS.find(n, ""), LinearModel)]
ANY = {(7, 5), (5, 7)}


def widest(
    count: int,
    device: Device,
    shapes: set[tuple[int, int]],
    *,
    seeds: str = "0",
    method: str = "minibatch",
) -> int:
    """Return the width of a grid of some rates, of 3 outputs."""
    rates = ",".join(str(i + 1) for i in range(count))
    trials = experiment("linear-regression", method=method, lr=rates, seed=seeds).grid.trials
    return width_for(trials, device, 3, shapes)


@pytest.mark.parametrize("problem", LINEAR)
@pytest.mark.parametrize("optimizer", ["vanilla", "momentum", "adam"])
def test_a_wide_product_changes_no_bit(
    problem: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"l2": "0.1"}
    grid = {
        "lr": "log:1e-4:1e3:70",  # tiles of 40, and of 48 for gd; the largest diverge
        "method": "gd,sgd,minibatch",
        "batch_size": "25",
        "epochs": "2",
        "seed": "0:1",
        "optimizer": optimizer,
    }
    wide = train(problem, options, **grid)
    asked = []

    def never(*shape: int) -> bool:
        asked.append(shape)
        return False

    monkeypatch.setattr(layout, "same_bits", never)
    narrow = train(problem, options, **grid)
    assert asked
    assert {wide // narrow for *_, narrow, wide in asked} <= {5, 6}
    assert len(wide) == len(narrow) == 420
    for key, run in wide.items():
        assert same(run, narrow[key]), run.trial


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16, 17, 63, 64, 65, 70, 128, 129, 250])
def test_a_width_is_a_multiple_of_eight_with_little_room_to_spare(count: int) -> None:
    if not all(same_bits(*shape, 3 * NARROWEST, 3 * WIDEST) for shape in ANY):
        pytest.skip("products depend on their width here")
    found = widest(count, NumPy("float64"), ANY)
    assert found % NARROWEST == 0
    assert NARROWEST <= found <= WIDEST
    tiles = -(-count // found)
    assert tiles == -(-count // WIDEST)
    assert tiles * found - count < tiles * NARROWEST


def test_the_seed_with_most_trials_counts() -> None:
    assert widest(8, NumPy("float64"), ANY, seeds="0:9") == NARROWEST


def test_seeds_count_together_where_a_step_has_all_examples() -> None:
    if not all(same_bits(*shape, 3 * NARROWEST, 3 * WIDEST) for shape in ANY):
        pytest.skip("products depend on their width here")
    assert widest(8, NumPy("float64"), ANY, seeds="0:3", method="gd") == 32


@pytest.mark.parametrize("device", [NumPy("float32"), Torch("float64"), Torch("float32")])
def test_other_devices_and_precisions_have_eight(device: Device) -> None:
    assert widest(64, device, ANY) == NARROWEST


def test_long_sums_have_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "same_bits", lambda *_: True)
    assert widest(64, NumPy("float64"), {(4, 256)}) == 64
    assert widest(64, NumPy("float64"), {(4, 257)}) == NARROWEST
    assert widest(64, NumPy("float64"), {(4, 5), (4, 1000)}) == NARROWEST


def test_where_nothing_is_multiplied_there_are_eight() -> None:
    assert widest(64, NumPy("float64"), set()) == NARROWEST


def test_one_product_that_depends_on_its_width_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "same_bits", lambda rows, *_: rows == 7)
    assert widest(64, NumPy("float64"), {(7, 5)}) == 64
    assert widest(64, NumPy("float64"), ANY) == NARROWEST


@pytest.mark.parametrize("shape", [(16, 11), (32, 101), (1, 65), (65, 32), (16, 16)])
def test_what_treats_equal_columns_alike_treats_others_so(shape: tuple[int, int]) -> None:
    if not same_bits(*shape, 10 * NARROWEST, 10 * WIDEST):
        pytest.skip("this product depends on its width here")
    rng = np.random.default_rng(1)
    left, right = rng.standard_normal(shape), rng.standard_normal((shape[1], 10 * WIDEST))
    whole = left @ right
    for first in range(0, 10 * WIDEST, NARROWEST):
        part = np.ascontiguousarray(right[:, first : first + NARROWEST])
        assert (left @ part == whole[:, first : first + NARROWEST]).all()
