"""Every optimizer keeps the contract's laws, and agrees with torch.optim or its own paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdcli.arrays import namespace
from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.catalog.classes import classes_in, import_part
from gdcli.fields import options_of
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import power

if TYPE_CHECKING:
    from gdcli.problem import Array

# The rules of each coordinate: methods, which see all parameters of a trial, have their own laws.
NAMES = [
    name
    for name in OPTIMIZERS.names()
    if classes_in(import_part(f"gdcli.optimizers.{name.replace('-', '_')}"), Optimizer)
]
TRIALS = 5

optim = torch.optim
Rule = Callable[..., optim.Optimizer]
RULES: dict[str, Rule] = {
    "vanilla": optim.SGD,
    "momentum": partial(optim.SGD, momentum=0.9),
    "nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
    "adadelta": optim.Adadelta,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "amsgrad": partial(optim.Adam, amsgrad=True),
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
}
# torch.optim's names for the fields that it calls otherwise.
TORCH_NAMES = {"beta": "momentum", "psi": "momentum_decay"}
SETTINGS: list[tuple[str, dict[str, float]]] = [
    *((name, {}) for name in RULES),
    *((name, {"weight_decay": 0.1}) for name in RULES),
    *((name, {"beta": 0.5, "weight_decay": 0.1}) for name in ("momentum", "nesterov")),
    ("adagrad", {"eps": 0.01}),
    ("rmsprop", {"alpha": 0.8, "eps": 0.01, "weight_decay": 0.1}),
    ("adadelta", {"rho": 0.8, "eps": 0.01, "weight_decay": 0.1}),
    ("nadam", {"psi": 0.1}),
    *(
        (name, {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": 0.1})
        for name in ("adam", "adamw", "amsgrad", "nadam", "radam")
        for beta1, beta2, eps in [(0.7, 0.9, 1e-8), (0.0, 0.5, 1e-8), (0.9, 0.99, 0.1)]
    ),
]


def gradient(x: Array) -> Array:
    """Return the gradient of a coupled double well.

    Sums and products alone, so that its bits depend on no library and no vector width.
    """
    return x * x * x - x + 0.3 * namespace(x).flip(x, axis=0)


def directions(
    optimizer: Optimizer, param: Array, lr: float, steps: int
) -> list[tuple[Array, State, Array]]:
    """Return direction, state and parameter after every step, decayed as the engine does."""
    state, path = optimizer.init(param), []
    for step in range(1, steps + 1):
        decay = optimizer.weight_decay * param
        grad = gradient(param) if optimizer.decoupled else gradient(param) + decay
        direction, state = optimizer.update(grad, state, param, step)
        direction = direction + decay if optimizer.decoupled else direction
        param = param - lr * direction
        path.append((direction, state, param))
    return path


def params(optimizer: Optimizer, param: Array, lr: float = 0.05, steps: int = 50) -> Array:
    """Return the parameter after every step."""
    return [array for _, _, array in directions(optimizer, param, lr, steps)]


def random_start(*shape: int) -> Array:
    return np.random.Generator(np.random.Philox(key=7)).standard_normal(shape)


def varied_fields(name: str) -> dict[str, Array]:
    """Return one value a trial, within its limits, for every field but clip_norm."""
    random = np.random.Generator(np.random.Philox(key=11))
    fields = {}
    for option in options_of(OPTIMIZERS.find(name, "test")).values():
        if option.kind is float and not option.optional:
            shares = random.uniform(0.5, 1.0, TRIALS)
            fields[option.field] = option.default * shares if option.default else 0.1 * shares
            assert [option.read(float(x), "test") for x in fields[option.field]]
    return fields


def build(name: str, **fields: Array) -> Optimizer:
    return cast("Optimizer", OPTIMIZERS.find(name, "test")(**fields))


def to_torch(array: Array) -> Array:
    return torch.tensor(array)


def in_torchs_words(fields: dict[str, float]) -> dict[str, Any]:
    words: dict[str, Any] = {TORCH_NAMES.get(key, key): value for key, value in fields.items()}
    if "beta1" in words:
        words["betas"] = words.pop("beta1"), words.pop("beta2")
    return words


@pytest.fixture
def float64_by_default() -> Iterator[None]:
    """Let torch's NAdam keep its momentum product in float64 too."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("convert", [np.asarray, to_torch], ids=["numpy", "torch"])
@pytest.mark.parametrize(("name", "fields"), SETTINGS)
def test_agrees_with_torch_optim(
    name: str, fields: dict[str, float], convert: Callable[[Array], Array]
) -> None:
    # Slow enough not to arrive: beside a minimum, Adam's ratio of two vanishing averages multiplies
    # rounding errors fourfold a step (checked against 50 digits: torch's as well as ours).
    lr = 1.0 if name == "adadelta" else 0.02
    param = torch.nn.Parameter(torch.tensor(random_start(6)))
    reference = RULES[name]([param], lr=lr, **in_torchs_words(fields))
    for mine in params(build(name, **fields), convert(random_start(6)), lr):
        param.grad = gradient(param.detach())
        reference.step()
        np.testing.assert_allclose(mine, param.detach(), rtol=1e-10, atol=1e-10)


def gap_to_torchs_nadam() -> float:
    """Return the largest gap in float64 over 200 steps, of each step from the same point."""
    param = torch.nn.Parameter(torch.tensor(random_start(6)))
    reference, worst = torch.optim.NAdam([param], lr=0.002), 0.0
    for mine in params(build("nadam"), random_start(6), 0.002, steps=200):
        param.grad = gradient(param.detach())
        reference.step()
        worst = max(worst, float(np.abs(mine - param.detach().numpy()).max()))
    return worst


def test_torchs_nadam_keeps_a_product_in_its_default_dtype() -> None:
    """As docs/reproducibility.md says: 2.5e-9 as torch comes, nothing with float64 as default."""
    assert 1e-11 < gap_to_torchs_nadam() < 2.5e-9


@pytest.mark.usefixtures("float64_by_default")
def test_in_float64_alone_torchs_nadam_is_ours() -> None:
    assert gap_to_torchs_nadam() < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta2", [0.99, 0.999, 0.9999, 0.99999])
def test_radam_divides_from_the_sixth_step_in_any_precision(beta2: float, dtype: type) -> None:
    grad: Array = np.full((2, 1), 1000.0, dtype)
    optimizer = build("radam", beta2=np.full(1, beta2, dtype))
    state = optimizer.init(grad)
    for step in range(1, 9):
        direction, state = optimizer.update(grad, state, grad, step)
        np.testing.assert_array_less(direction, 1 if step >= 6 else 1001)
        np.testing.assert_array_less(0 if step >= 6 else 999, direction)


def sign(x: float) -> float:
    return float((x > 0) - (x < 0))


def test_lion_follows_the_papers_algorithm() -> None:
    lr, beta1, beta2, decay = 0.05, 0.9, 0.99, 0.1
    theta, m = [float(x) for x in random_start(6)], [0.0] * 6
    for mine in params(build("lion", weight_decay=decay), random_start(6), lr):
        g = [x**3 - x + 0.3 * y for x, y in zip(theta, reversed(theta), strict=True)]
        c = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
        theta = [x - lr * (sign(a) + decay * x) for x, a in zip(theta, c, strict=True)]
        m = [beta2 * a + (1 - beta2) * b for a, b in zip(m, g, strict=True)]
        np.testing.assert_allclose(mine, theta, rtol=1e-10, atol=1e-10)


def test_lion_steps_by_the_older_gradients_where_they_outweigh_the_newest() -> None:
    lion, zero = build("lion", beta1=0.5, beta2=0.75), np.zeros(3)
    _, state = lion.update(np.asarray([4.0, 4.0, 0.0]), lion.init(zero), zero, 1)
    np.testing.assert_array_equal(state["mean"], [1.0, 1.0, 0.0])
    direction, state = lion.update(np.asarray([-0.5, -2.0, 0.0]), state, zero, 2)
    np.testing.assert_array_equal(direction, [1.0, -1.0, 0.0])
    np.testing.assert_array_equal(state["mean"], [0.625, 0.25, 0.0])


@pytest.mark.parametrize("convert", [np.asarray, to_torch], ids=["numpy", "torch"])
def test_sign_sgd_moves_every_coordinate_alike_and_shows_nan(
    convert: Callable[[Array], Array],
) -> None:
    grad = convert(np.asarray([1e-300, -7.0, 0.0, math.nan, -math.inf]))
    direction, _ = build("sign-sgd").update(grad, {}, grad, 1)
    np.testing.assert_array_equal(direction, [1.0, -1.0, 0.0, math.nan, -1.0])


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_alone_equals_the_same_trial_in_a_grid_bit_for_bit(name: str) -> None:
    fields, start = varied_fields(name), random_start(4, TRIALS)
    together = params(build(name, **fields), start)
    for trial in range(TRIALS):
        mine = {field: float(values[trial]) for field, values in fields.items()}
        alone = params(build(name, **mine), start[:, trial].copy())
        for one, grid in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, grid[:, trial])
        assert np.isfinite(alone[-1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_diverged_trial_changes_no_bit_of_its_neighbours(name: str) -> None:
    optimizer, start = build(name, **varied_fields(name)), random_start(4, TRIALS)
    broken = start.copy()
    broken[:, 2] = [np.inf, np.nan, 1e200, 0.0]
    with np.errstate(all="ignore"):
        beside = params(optimizer, broken)
    for mine, other in zip(params(optimizer, start), beside, strict=True):
        np.testing.assert_array_equal(np.delete(mine, 2, 1), np.delete(other, 2, 1))


@pytest.mark.parametrize("name", NAMES)
def test_numpy_and_torch_step_alike(name: str) -> None:
    fields, start = varied_fields(name), random_start(4, TRIALS)
    tensors = {field: to_torch(values) for field, values in fields.items()}
    numpy_path = params(build(name, **fields), start)
    torch_path = params(build(name, **tensors), to_torch(start))
    for mine, other in zip(numpy_path, torch_path, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_as_fields_keep_a_tensors_precision(name: str) -> None:
    start = random_start(4)
    pairs = zip(params(build(name), start), params(build(name), to_torch(start)), strict=True)
    for mine, other in pairs:
        assert other.dtype == torch.float64
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("vary", [False, True], ids=["default", "varied"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_near_float64(name: str, *, vary: bool) -> None:
    fields, start = varied_fields(name), random_start(4, TRIALS)
    if not vary:
        fields = {field: np.full(TRIALS, getattr(build(name), field)) for field in fields}
    single = {field: values.astype(np.float32) for field, values in fields.items()}
    tensors = {field: to_torch(values) for field, values in single.items()}
    exact = params(build(name, **fields), start, steps=20)
    for optimizer, param in [
        (build(name, **single), start.astype(np.float32)),
        (build(name, **tensors), to_torch(start.astype(np.float32))),
    ]:
        path = directions(optimizer, param, 0.05, 20)
        for (direction, state, mine), other in zip(path, exact, strict=True):
            assert {x.dtype for x in (direction, *state.values())} == {param.dtype}
            np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("vary", [False, True], ids=["default", "varied"])
@pytest.mark.parametrize("name", NAMES)
def test_everything_stays_on_its_device_and_no_value_is_looked_at(name: str, *, vary: bool) -> None:
    param = torch.zeros(4, TRIALS, device="meta")  # has shapes and no values: reading one raises
    fields = varied_fields(name) if vary else {}
    tensors = {k: torch.tensor(v, dtype=param.dtype, device="meta") for k, v in fields.items()}
    for direction, state, _ in directions(build(name, **tensors), param, 0.05, 7):
        for array in (direction, *state.values()):
            assert (array.device, array.dtype) == (param.device, param.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_the_step_may_be_a_tensor(name: str, dtype: torch.dtype) -> None:
    """As on a GPU, where a CUDA graph records one step for all."""
    fields = {k: to_torch(v).to(dtype) for k, v in varied_fields(name).items()}
    optimizer, param = build(name, **fields), to_torch(random_start(4, TRIALS)).to(dtype)
    state = optimizer.init(param)
    for step in range(1, 9):
        number = torch.tensor(step, dtype=torch.float64)
        grad = gradient(param)
        recorded, kept = optimizer.update(grad, state, param, number)  # type: ignore[arg-type]
        direction, state = optimizer.update(grad, state, param, step)
        assert kept.keys() == state.keys()
        for mine, other in [(direction, recorded), *((state[key], kept[key]) for key in state)]:
            assert other.dtype == dtype
            torch.testing.assert_close(mine, other)
        param = param - 0.05 * direction


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_can_be_mapped_over_trials(name: str) -> None:
    """As torch.func.vmap does where a wrapper is around the rule."""
    fields = {field: to_torch(values) for field, values in varied_fields(name).items()}
    start = to_torch(random_start(TRIALS, 4))

    def end(param: Array, values: dict[str, Array]) -> Array:
        return params(build(name, **values), param, steps=8)[-1]

    together = torch.func.vmap(end)(start, fields)
    for trial in range(TRIALS):
        alone = end(start[trial], {field: values[trial] for field, values in fields.items()})
        assert torch.equal(together[trial], alone)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_given_is_changed_in_numpy(name: str) -> None:
    optimizer, param = build(name), random_start(4, TRIALS)
    param.flags.writeable = False
    state = optimizer.init(param)
    for step in range(1, 8):
        grad = gradient(param)
        for array in (grad, *state.values()):
            array.flags.writeable = False  # a change in place raises
        before = dict(state)
        _, after = optimizer.update(grad, state, param, step)
        assert state.keys() == before.keys()
        assert all(state[key] is before[key] for key in before)
        state = after


@pytest.mark.parametrize("name", NAMES)
def test_nothing_given_is_changed_in_torch(name: str) -> None:
    optimizer, param = build(name), to_torch(random_start(4, TRIALS))
    state = optimizer.init(param)
    for step in range(1, 8):
        grad = gradient(param)
        given = (grad, param, *state.values())
        before = [(array.clone(), array._version) for array in given]
        _, state = optimizer.update(grad, state, param, step)
        for array, (values, version) in zip(given, before, strict=True):
            assert torch.equal(array, values)
            assert array._version == version


@pytest.mark.parametrize("name", NAMES)
def test_state_has_the_parameters_shape_and_the_same_names_throughout(name: str) -> None:
    optimizer, param = build(name, **varied_fields(name)), random_start(3, 4, TRIALS)
    first = optimizer.init(param)
    for _, state, _ in [(None, first, None), *directions(optimizer, param, 0.05, 7)]:
        assert state.keys() == first.keys()
        assert {array.shape for array in state.values()} <= {param.shape}


@pytest.mark.parametrize("step", [1, 2, 6, 1000, 10**9])
@pytest.mark.parametrize("name", NAMES)
def test_a_trial_put_to_rest_stays_at_rest(name: str, step: int) -> None:
    zero = np.zeros((4, TRIALS))
    for optimizer in (build(name), build(name, **varied_fields(name))):
        state = dict.fromkeys(optimizer.init(zero), zero)
        with np.errstate(all="raise", under="ignore"):
            direction, state = optimizer.update(zero, state, zero, step)
        np.testing.assert_array_equal(direction, zero)
        assert all(np.isfinite(array).all() for array in state.values())


@given(base=st.floats(0, 1), exponent=st.integers(0, 10_000))
def test_power_is_the_power_and_has_one_value(base: float, exponent: int) -> None:
    result = power(base, exponent)
    assert result == pytest.approx(base**exponent, rel=1e-11, abs=1e-300)
    np.testing.assert_array_equal(power(np.full(9, base), exponent), np.full(9, result))


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_is_linear_if_it_says_so(name: str) -> None:
    optimizer, start = build(name), np.zeros(3)
    a, b = random_start(2, 3)
    states = [{key: abs(c) for key in optimizer.init(start)} for c in random_start(2, 3) + 1]
    both = {key: 2 * states[0][key] + states[1][key] for key in states[0]}

    def moves(grad: Array, state: State, step: int) -> list[Array]:
        direction, after = optimizer.update(grad, state, start, step)
        return [direction, *after.values()]

    # Mixed with a gradient and a state of another size, at another step.
    mixed = moves(2 * a + b, both, 9)
    apart = zip(moves(a, states[0], 1), moves(b, states[1], 4), strict=True)
    same = [np.allclose(x, 2 * y + z) for x, (y, z) in zip(mixed, apart, strict=True)]
    assert all(same) == optimizer.linear
