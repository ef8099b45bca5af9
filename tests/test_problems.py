import gzip
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES
from gdcli.engine.families.family import starting_point
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.fields import options_of
from gdcli.problem import (
    Analytic,
    Array,
    Batch,
    Data,
    LinearModel,
    Network,
    Params,
    Problem,
    Surface,
)
from gdcli.problems.cnn import Cnn
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.matrix_factorization import MatrixFactorization
from gdcli.problems.mlp import Mlp
from gdcli.problems.quadratic import Quadratic
from gdcli.problems.saddle import Saddle
from gdcli.problems.softmax_regression import SoftmaxRegression
from tests.grids import TRAINABLE
from tests.rules import METHODS

P = TypeVar("P", bound=Problem)
TRIALS = 5


def all_of(family: type[P]) -> list[P]:
    found = [PROBLEMS.find(name, "problem") for name in TRAINABLE]
    return [problem() for problem in found if issubclass(problem, family)]


QUADRATICS: list[Analytic] = [
    Quadratic(dim=4, rotate=True),
    Quadratic(dim=3, noise=0.7, examples=6),
    Quadratic(dim=4, noise=0.7, examples=6, rotate=True),
    Quadratic(instance="deepobs"),
]
# mypy asks for a concrete class where type[P] is wanted; the families are abstract on purpose.
ANALYTIC = [*all_of(Analytic), *QUADRATICS]  # type: ignore[type-abstract]
LINEAR = all_of(LinearModel)  # type: ignore[type-abstract]
SURFACES = all_of(Surface)  # type: ignore[type-abstract]
OWN_LOSS = [p for p in all_of(Problem) if not isinstance(p, Network)]  # type: ignore[type-abstract]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Two threads on a busy machine wait for each other, ten times as long as one takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch_of(data: Data) -> Batch:
    return data.train | data.constants


def tensors(arrays: Params) -> Params:
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_every_option_has_a_phrase_and_reads_its_default(name: str) -> None:
    for option in options_of(PROBLEMS.find(name, "problem")).values():
        assert option.summary
        raw = list(option.default) if option.many else option.default
        assert option.read(raw, option.name) == option.default


def test_what_is_found_by_its_name_imports_neither_numpy_nor_torch() -> None:
    code = (
        "import sys\n"
        "import gdcli.datasets, gdcli.datasets.image_formats, gdcli.datasets.tabular\n"
        "from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES\n"
        "from gdcli.fields import options_of\n"
        "for catalogue in (OPTIMIZERS, SCHEDULES, PROBLEMS):\n"
        f"    for name in (n for n in catalogue.names() if n not in {METHODS}):\n"
        "        options_of(catalogue.find(name, 'test'))\n"
        "        print(name, *sorted({'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rules = (name for name in OPTIMIZERS.names() if name not in METHODS)  # methods are torch code
    names = [*rules, *SCHEDULES.names(), *PROBLEMS.names()]
    assert done.stdout.splitlines() == names  # and no heavy module after one of them


@pytest.mark.parametrize("name", TRAINABLE)
def test_equal_streams_give_equal_data_and_starts(name: str) -> None:
    problem = PROBLEMS.find(name, "problem")()
    first, again = problem.load(rng()), problem.load(rng())
    for part, same in zip(parts(first), parts(again), strict=True):
        assert part.keys() == same.keys()
        for key, array in part.items():
            assert array.dtype in (np.float64, np.int64)
            assert np.isfinite(array).all()
            np.testing.assert_array_equal(array, same[key])
    start, repeated = (starting_point(problem, first, seed=3) for _ in range(2))
    assert start
    for key, array in start.items():
        assert array.dtype == np.float64
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, repeated[key])


def parts(data: Data) -> tuple[Batch, Batch, Batch]:
    return data.train, data.test, data.constants


SMALLER = {"char-lm": {"examples": 500}, "cnn": {"examples": 300}}  # the whole of it takes a while


@pytest.mark.parametrize("name", TRAINABLE)
def test_gradient_descent_converges_with_the_defaults(name: str) -> None:
    problem = PROBLEMS.find(name, "problem")(**SMALLER.get(name, {}))
    losses = descent(problem)
    assert losses[-1] < 0.5 * losses[0]
    rise = np.diff(losses).max()
    assert rise <= (0.1 if isinstance(problem, Network) else 1e-14) * losses[0]


def descent(problem: Problem) -> Array:
    """Return the loss before each step of plain gradient descent, by autograd."""
    data = problem.load(stream("data"))
    start = starting_point(problem, data, seed=0)
    dtype = torch.float32 if isinstance(problem, Network) else torch.float64
    params = {name: p.to(dtype).requires_grad_() for name, p in tensors(start).items()}
    loss, batch, losses = loss_of(problem, data), tensors(batch_of(data)), []
    for _ in range(problem.default_epochs):
        value = loss(params, batch)
        losses.append(value.item())
        gradients = torch.autograd.grad(value, list(params.values()))
        for param, gradient in zip(params.values(), gradients, strict=True):
            param.data.sub_(gradient, alpha=problem.default_lr)
    return np.array(losses)


def loss_of(problem: Problem, data: Data) -> Callable[[Params, Batch], torch.Tensor]:
    if not isinstance(problem, Network):
        return problem.loss
    module = problem.module(data)

    def loss(params: Params, batch: Batch) -> torch.Tensor:
        x = batch["x"].float() if batch["x"].is_floating_point() else batch["x"]
        outputs = torch.func.functional_call(module, params, (x,))
        if problem.criterion == "mse":
            return torch.nn.functional.mse_loss(outputs, batch["y"].float())
        return torch.nn.functional.cross_entropy(outputs, batch["y"])

    return loss


@pytest.mark.parametrize("problem", ANALYTIC, ids=str)
@pytest.mark.parametrize("leading", [(), (2,), (3, 1)])
def test_the_gradient_is_the_slope_of_the_value(
    problem: Analytic, leading: tuple[int, ...]
) -> None:
    data = problem.load(rng())
    batch = {name: sampled(x, leading) for name, x in data.train.items()} | data.constants
    dim = len(problem.init(rng(), data)["point"])
    point = rng(1).uniform(-2, 2, (*leading, dim, TRIALS))
    gradient = problem.gradient(point, batch)
    assert gradient.shape == point.shape
    assert problem.value(point, batch).shape == (*leading, TRIALS)
    step = 1e-5
    for i in range(0, dim, max(1, dim // 4)):
        move = np.zeros((dim, 1))
        move[i] = step
        rise = problem.value(point + move, batch) - problem.value(point - move, batch)
        np.testing.assert_allclose(gradient[..., i, :], rise / (2 * step), rtol=1e-6, atol=1e-5)


def sampled(x: Array, leading: tuple[int, ...]) -> Array:
    return x[rng(2).integers(len(x), size=(*leading, 4))]


@pytest.mark.parametrize("problem", ANALYTIC, ids=str)
def test_a_point_of_several_trials_holds_each_trial_alone(problem: Analytic) -> None:
    data = problem.load(rng())
    points = rng(1).uniform(-2, 2, (len(problem.init(rng(), data)["point"]), TRIALS))
    values = problem.value(points, batch_of(data))
    alone = [problem.loss({"point": points[:, i]}, batch_of(data)) for i in range(TRIALS)]
    np.testing.assert_allclose(values, alone, rtol=1e-13)


@pytest.mark.parametrize("problem", [*ANALYTIC, *LINEAR], ids=str)
def test_torch_and_numpy_see_the_same_function(problem: Analytic | LinearModel) -> None:
    data = problem.load(rng())
    start = problem.init(rng(1), data)
    loss = problem.loss(tensors(start), tensors(batch_of(data)))
    assert loss.item() == pytest.approx(problem.loss(start, batch_of(data)), rel=1e-12)
    if isinstance(problem, Analytic):
        points = np.repeat(start["point"][:, None], TRIALS, axis=1)
        gradient = problem.gradient(torch.as_tensor(points), tensors(batch_of(data)))
        np.testing.assert_allclose(gradient, problem.gradient(points, batch_of(data)), rtol=1e-12)


@pytest.mark.parametrize("problem", OWN_LOSS, ids=str)
def test_the_loss_can_be_mapped_over_trials(problem: Problem) -> None:
    data = problem.load(rng())
    batch = tensors(batch_of(data))
    starts = [tensors(problem.init(rng(seed), data)) for seed in range(3)]
    stacked = {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
    per_trial = torch.func.vmap(torch.func.grad_and_value(problem.loss), in_dims=(0, None))
    gradients, losses = per_trial(stacked, batch)
    for i, start in enumerate(starts):
        gradient, loss = torch.func.grad_and_value(problem.loss)(start, batch)
        torch.testing.assert_close(losses[i], loss)
        for key, expected in gradient.items():
            torch.testing.assert_close(gradients[key][i], expected)


@pytest.mark.parametrize("name", TRAINABLE)
def test_metrics_have_the_names_that_were_announced(name: str) -> None:
    problem = PROBLEMS.find(name, "problem")()
    data = problem.load(rng())
    if isinstance(problem, LinearModel):
        y = data.train["y"][..., None]
        found = problem.scores(np.zeros((*y.shape[:-1], TRIALS)), y)
        assert all(score.shape == (data.examples, TRIALS) for score in found.values())
    else:
        params = problem.init(rng(), data)
        if isinstance(problem, Analytic):
            params = {"point": np.repeat(params["point"][:, None], TRIALS, axis=1)}
        found = problem.metrics(params, batch_of(data))
    own = problem.curve_columns if isinstance(problem, Analytic) else problem.metric_names
    assert tuple(found) == own


PLANE: dict[str, Callable[[float, float], float]] = {
    "beale": lambda x, y: sum(
        (c - x * (1 - y**k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))
    ),
    "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "quadratic": lambda x, y: (x**2 + 10 * y**2) / 2,
    "rastrigin": lambda x, y: 20 + sum(w**2 - 10 * np.cos(2 * np.pi * w) for w in (x, y)),
    "rosenbrock": lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2,
    "saddle": lambda x, y: x**2 / 2 + y**4 / 4 - y**2 / 2,
}


@pytest.mark.parametrize("name", PLANE)
def test_a_function_of_two_variables_is_the_textbooks(name: str) -> None:
    problem = PROBLEMS.find(name, "problem")()
    constants = problem.load(rng()).constants
    for x, y in rng().uniform(-3, 3, (20, 2)):
        loss = problem.loss({"point": np.array([x, y])}, constants)
        assert loss == pytest.approx(PLANE[name](x, y), rel=1e-12)


def mean_square(z: Array, y: Array) -> float:
    return float(np.mean((z - y) ** 2))


LINEAR_LOSSES: dict[str, Callable[[Array, Array], float]] = {
    "linear-regression": lambda z, y: mean_square(z, y) / 2,
    "logistic-regression": lambda z, y: log_loss(y, 1 / (1 + np.exp(-z))),
    "softmax-regression": lambda z, y: log_loss(y, np.exp(z) / np.exp(z).sum(1, keepdims=True)),
}


@pytest.mark.parametrize("name", LINEAR_LOSSES)
@pytest.mark.parametrize("l2", [0, 0.3])
def test_the_loss_of_a_linear_model_is_scikit_learns_and_the_penalty(name: str, l2: float) -> None:
    options: dict[str, Any] = {"l2": l2}
    problem = PROBLEMS.find(name, "problem")(**options)
    data = problem.load(rng())
    x, y = data.train["x"], data.train["y"]
    weight = 0.2 * rng(1).standard_normal((x.shape[1], y.shape[1]))
    bias = rng(2).standard_normal(y.shape[1])
    loss = problem.loss({"weight": weight, "bias": bias}, data.train)
    penalty = l2 / 2 * np.square(weight).sum()
    expected = LINEAR_LOSSES[name](x @ weight + bias, y) + penalty
    assert loss == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_a_factorization_is_half_the_mean_squared_error() -> None:
    problem = MatrixFactorization()
    data = problem.load(rng())
    params = problem.init(rng(), data)
    full = params["left"] @ params["right"].T
    predicted = [
        full[row, column]
        for row, column in zip(data.train["row"], data.train["column"], strict=True)
    ]
    loss = problem.loss(tensors(params), tensors(data.train)).item()
    assert loss == pytest.approx(
        mean_square(np.array(predicted), data.train["rating"]) / 2, rel=1e-12
    )


def test_eigenvalues_are_spaced_evenly_on_a_logarithmic_scale() -> None:
    eigenvalues = Quadratic(dim=7, condition=1e4 / 3).load(rng()).constants["eigenvalues"]
    assert eigenvalues[0] == 1
    assert eigenvalues[-1] == 1e4 / 3
    np.testing.assert_allclose(np.diff(np.log(eigenvalues)), np.log(1e4 / 3) / 6, rtol=1e-13)


@pytest.mark.parametrize("rotate", [False, True])
def test_the_curvature_of_one_dimension_is_the_condition(*, rotate: bool) -> None:
    problem = Quadratic(dim=1, condition=7, rotate=rotate)
    assert problem.gradient(np.ones((1, 1)), problem.load(rng()).constants) == 7


@pytest.mark.parametrize("dim", [2, 3, 20])
def test_a_rotation_keeps_the_eigenvalues_and_turns_the_axes(dim: int) -> None:
    hessian = Quadratic(dim=dim, rotate=True).load(rng()).constants["hessian"]
    straight = Quadratic(dim=dim).load(rng()).constants["eigenvalues"]
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), straight)
    assert np.abs(hessian - np.diag(np.diag(hessian))).max() > 0.1


@pytest.mark.parametrize("rotate", [False, True])
def test_a_noisy_bowl_is_the_mean_over_its_examples(*, rotate: bool) -> None:
    problem = Quadratic(dim=3, noise=2, examples=50, rotate=rotate)
    data = problem.load(rng())
    curvature = data.constants.get("hessian")
    hessian = np.diag(data.constants["eigenvalues"]) if curvature is None else curvature
    assert data.train["x"].shape == data.test["x"].shape == (50, 3)
    assert (data.train["x"] != data.test["x"]).all()
    w = rng(1).normal(size=3)
    for part in (data.train, data.test):
        mean = np.mean([0.5 * (w - x) @ hessian @ (w - x) for x in part["x"]])
        assert problem.loss({"point": w}, part | data.constants) == pytest.approx(mean, rel=1e-13)


def test_the_noise_has_the_given_deviation_around_0() -> None:
    x = Quadratic(dim=2, noise=3, examples=20_000).load(rng()).train["x"]
    np.testing.assert_allclose(x.std(axis=0), 3, rtol=0.02)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=0.1)


def test_a_bowl_without_noise_has_no_examples() -> None:
    data = Quadratic().load(rng())
    assert (data.train, data.test) == ({}, {})


@pytest.mark.parametrize("problem", QUADRATICS, ids=str)
def test_the_distance_of_a_bowl_is_to_its_minimiser(problem: Quadratic) -> None:
    data = problem.load(rng())
    batch, dim = batch_of(data), len(problem.init(rng(), data)["point"])
    center = batch["x"].mean(axis=0) if "x" in batch else np.zeros(dim)
    points = center[:, None] + np.eye(dim)[:, :2] * [0, 3]
    assert np.abs(problem.gradient(points, batch)[:, 0]).max() < 1e-12
    distance = problem.metrics({"point": points}, batch)["distance"]
    np.testing.assert_allclose(distance, [0, 3], atol=1e-12)


def test_the_start_of_a_bowl_is_spread_around_ones() -> None:
    data = Quadratic(dim=1000, spread=0.5).load(rng())
    assert (Quadratic(dim=1000).init(rng(), data)["point"] == 1).all()
    moved = Quadratic(dim=1000, spread=0.5).init(rng(), data)["point"] - 1
    assert moved.std() == pytest.approx(0.5, rel=0.1)


def test_the_published_figures_of_deepobs_quadratic_deep() -> None:
    problem = Quadratic(instance="deepobs")
    data = problem.load(rng())
    eigenvalues = np.linalg.eigvalsh(data.constants["hessian"])
    assert eigenvalues[-1] == pytest.approx(53.12901540, abs=5e-9)
    assert eigenvalues[0] == pytest.approx(0.00552212, abs=5e-9)
    assert (data.examples, len(data.test["x"])) == (1000, 896)
    start = problem.init(rng(), data)
    assert (start["point"] == np.ones(100)).all()
    assert problem.loss(start, data.test | data.constants) == pytest.approx(353.446766, abs=5e-7)


@pytest.mark.parametrize("name", ["dim", "condition", "noise", "examples", "rotate"])
def test_an_option_that_deepobs_fixes(name: str) -> None:
    changed: dict[str, Any] = {name: 3}
    with pytest.raises(UserError) as caught:
        Quadratic(instance="deepobs", **changed)
    assert str(caught.value) == (
        f"--{name}: 3 has no effect on the instance deepobs, which sets it; leave it out"
    )


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_the_minima_of_a_surface_are_minima(surface: Surface) -> None:
    minima = np.array(surface.minima).T
    np.testing.assert_allclose(surface.gradient(minima, {}), 0, atol=1e-12)
    values = surface.value(minima, {})
    np.testing.assert_allclose(values, values[0], atol=1e-15)
    for move in 1e-3 * rng().standard_normal((20, 2, 1)):
        assert (surface.value(minima + move, {}) > values).all()


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_the_distance_of_a_surface_is_to_the_nearest_minimum(surface: Surface) -> None:
    points = rng().uniform(-4, 4, (3, 2, TRIALS))
    gaps = points[..., None] - np.array(surface.minima).T[:, None]
    nearest = np.linalg.norm(gaps, axis=-3).min(axis=-1)
    np.testing.assert_allclose(surface.metrics({"point": points}, {})["distance"], nearest)


def test_a_surface_starts_where_it_is_told_and_spreads() -> None:
    assert Saddle(start=(2, 3)).init(rng(), Data())["point"].tolist() == [2, 3]
    moves = [Saddle(start=(2, 3), spread=0.5).init(rng(i), Data())["point"] for i in range(2000)]
    np.testing.assert_allclose(np.mean(moves, axis=0), [2, 3], atol=0.05)
    np.testing.assert_allclose(np.std(moves, axis=0), 0.5, rtol=0.1)


def test_a_start_on_the_saddles_ridge_stays_there() -> None:
    assert Saddle().gradient(np.array([[0.0], [0.0]]), {}).tolist() == [[0], [0]]
    assert Saddle().gradient(np.array([[1.0], [0.0]]), {}).tolist() == [[1], [0]]


@pytest.mark.parametrize("model", LINEAR, ids=str)
@pytest.mark.parametrize("leading", [(), (2, 3)])
def test_the_slope_is_that_of_the_cost(model: LinearModel, leading: tuple[int, ...]) -> None:
    y = model.load(rng()).train["y"][:, :, None]
    y = sampled(y, leading)
    z = rng(1).normal(scale=3, size=(*y.shape[:-1], TRIALS))
    slope = model.slope(z, y)
    assert slope.shape == z.shape
    step = 1e-5
    for i in range(z.shape[-2]):
        move = np.zeros((z.shape[-2], 1))
        move[i] = step
        rise = (model.cost(z + move, y) - model.cost(z - move, y)).sum(axis=-2)
        np.testing.assert_allclose(slope[..., i, :], rise / (2 * step), rtol=1e-5, atol=1e-7)


def test_the_logistic_cost_keeps_its_digits_at_the_extremes() -> None:
    z = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])[:, None, None]
    model = LogisticRegression()
    zero, one = np.zeros((5, 1, 1)), np.ones((5, 1, 1))
    tail = np.exp(-40)
    expected = [0, tail, np.log(2), 40 + tail, 800]
    np.testing.assert_allclose(model.cost(z, zero).ravel(), expected, rtol=1e-15)
    np.testing.assert_allclose(model.cost(-z, one).ravel(), expected, rtol=1e-15)
    np.testing.assert_allclose(model.slope(z, zero).ravel(), [0, tail, 0.5, 1, 1], rtol=1e-15)
    np.testing.assert_allclose(model.slope(z, one).ravel()[2:], [-0.5, 0, 0], atol=1e-15)


def test_the_softmax_cost_cannot_overflow() -> None:
    z, y = np.array([800.0, 0.0, -800.0])[:, None], np.array([0.0, 1.0, 0.0])[:, None]
    assert SoftmaxRegression().cost(z, y) == 800
    assert SoftmaxRegression().slope(z, y).ravel().tolist() == [1, -1, 0]


@pytest.mark.parametrize("model", [LogisticRegression(), SoftmaxRegression()], ids=str)
@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_the_accuracy_is_scikit_learns(model: LinearModel, backend: Callable[..., Any]) -> None:
    y = model.load(rng()).train["y"]
    z = rng(1).standard_normal((*y.shape, TRIALS)) + y[..., None]
    scores = model.scores(backend(z), backend(y[..., None]))["accuracy"]
    assert scores.dtype == backend(z).dtype
    truth = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
    for i, score in enumerate(np.asarray(scores).mean(axis=0)):
        guess = z[..., i].argmax(axis=1) if y.shape[1] > 1 else z[:, 0, i] > 0
        assert score == pytest.approx(accuracy_score(truth, guess))


@pytest.mark.parametrize("model", LINEAR, ids=str)
def test_linear_models_start_with_normal_weights_and_no_bias(model: LinearModel) -> None:
    data = model.load(rng())
    x, y = data.train["x"], data.train["y"]
    start = model.init(rng(), data)
    assert start["weight"].shape == (x.shape[1], y.shape[1])
    assert start["bias"].tolist() == [0] * y.shape[1]
    wider = replace(model, init_scale=20 * model.init_scale).init(rng(), data)
    np.testing.assert_allclose(wider["weight"], 20 * start["weight"])


def test_least_squares_has_the_closed_form_minimiser() -> None:
    model = LinearRegression()
    data = model.load(rng())
    x, y = data.train["x"], data.train["y"]
    ones = np.column_stack([x, np.ones(len(x))])
    solution = np.linalg.lstsq(ones, y)[0]
    z = (ones @ solution)[..., None]
    np.testing.assert_allclose(ones.T @ model.slope(z, y[..., None])[..., 0], 0, atol=1e-8)


def test_synthetic_least_squares_follows_a_plane_but_for_the_noise() -> None:
    model = LinearRegression(dataset="synthetic", examples=4000, features=3, noise=0.5)
    data = model.load(rng())
    assert (data.examples, len(data.test["x"])) == (3200, 800)
    ones = np.column_stack([data.train["x"], np.ones(data.examples)])
    residual = np.linalg.lstsq(ones, data.train["y"])[1] / data.examples
    assert residual == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(
    ("problem", "examples", "features", "outputs"),
    [
        (LinearRegression(), 442, 10, 1),
        (LogisticRegression(), 569, 30, 1),
        (SoftmaxRegression(), 1797, 64, 10),
        (SoftmaxRegression(dataset="iris"), 150, 4, 3),
        (SoftmaxRegression(dataset="wine"), 178, 13, 3),
        (SoftmaxRegression(dataset="breast-cancer"), 569, 30, 2),
    ],
    ids=str,
)
def test_named_sets_are_split(
    problem: LinearModel, examples: int, features: int, outputs: int
) -> None:
    data = problem.load(rng())
    held_out = round(examples / 5)
    assert data.train["x"].shape == (examples - held_out, features)
    assert data.train["y"].shape == (examples - held_out, outputs)
    assert data.test["x"].shape == (held_out, features)
    assert data.test["y"].shape == (held_out, outputs)
    if not isinstance(problem, LinearRegression):
        assert set(np.unique(data.train["y"])) == {0, 1}
        assert outputs == 1 or (data.train["y"].sum(axis=1) == 1).all()


def table(folder: Path, labels: str) -> Path:
    file = folder / "table.csv"
    rows = [f"{i},{i * i},{label}" for i, label in enumerate(labels)]
    file.write_text("\n".join(["a,b,kind", *rows]))
    return file


def test_a_csv_file_stands_in_for_a_named_set(tmp_path: Path) -> None:
    two, three = "ababbaabba", "abcabcabca"
    given: dict[str, Any] = {"data": table(tmp_path, two), "target": "kind", "scale": "none"}
    targets = {tuple(x): y for x, y in examples_of(LogisticRegression(**given).load(rng()))}
    assert targets == {(i, i * i): [float(label == "b")] for i, label in enumerate(two)}
    given["data"] = table(tmp_path, three)
    targets = {tuple(x): y for x, y in examples_of(SoftmaxRegression(**given).load(rng()))}
    assert targets == {
        (i, i * i): [float(label == known) for known in "abc"] for i, label in enumerate(three)
    }
    targets = {tuple(x): y for x, y in examples_of(Mlp(**given).load(rng()))}
    assert targets == {(i, i * i): "abc".index(label) for i, label in enumerate(three)}
    given["target"] = "b"
    given["data"].write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(10)))
    targets = {tuple(x): y for x, y in examples_of(LinearRegression(**given).load(rng()))}
    assert targets == {(i,): [i * i] for i in range(10)}


def examples_of(data: Data) -> list[tuple[Any, Any]]:
    both = (data.train, data.test)
    return [
        (x, y) for part in both for x, y in zip(part["x"].tolist(), part["y"].tolist(), strict=True)
    ]


def test_logistic_regression_takes_two_classes(tmp_path: Path) -> None:
    model = LogisticRegression(data=table(tmp_path, "abc"), target="kind")
    with pytest.raises(UserError) as caught:
        model.load(rng())
    assert str(caught.value) == (
        "--target: column 'kind' has 3 different values, not two: 'a', 'b', 'c'; "
        "choose another, or run softmax-regression"
    )


@cache
def digits() -> Data:
    return Cnn().load(rng())


def shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in module.parameters()]


@pytest.mark.parametrize(
    ("activation", "layer"),
    [
        ("relu", torch.nn.ReLU),
        ("tanh", torch.nn.Tanh),
        ("sigmoid", torch.nn.Sigmoid),
        ("gelu", torch.nn.GELU),
    ],
)
def test_the_layers_of_an_mlp(activation: Any, layer: type[torch.nn.Module]) -> None:
    problem = Mlp(dataset="wine", hidden=(7, 5), activation=activation)
    data = problem.load(rng())
    module = problem.module(data)
    linear = torch.nn.Linear
    assert [type(part) for part in module.children()] == [linear, layer, linear, layer, linear]
    assert shapes(module) == [(7, 13), (7,), (5, 7), (5,), (3, 5), (3,)]
    assert module(torch.as_tensor(data.test["x"]).float()).shape == (36, 3)
    assert data.train["x"].min() == 0
    assert data.train["x"].max() == 1


def test_the_images_of_digits() -> None:
    data = digits()
    assert data.train["x"].shape == (1438, 1, 8, 8)
    assert data.test["x"].shape == (359, 1, 8, 8)
    assert data.train["y"].dtype == np.int64
    assert (data.train["x"].min(), data.train["x"].max()) == (0, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (10, 64), (10,)]),
        ({"kernel": 5, "channels": (4,)}, [(4, 1, 5, 5), (4,), (10, 64), (10,)]),
        (
            {"kernel": 4, "channels": (4,), "padding": "valid"},
            [(4, 1, 4, 4), (4,), (10, 16), (10,)],
        ),
        ({"channels": (2, 2, 2)}, [(2, 1, 3, 3), (2,), *[(2, 2, 3, 3), (2,)] * 2, (10, 2), (10,)]),
    ],
)
def test_the_layers_of_a_cnn(options: dict[str, Any], expected: list[tuple[int, ...]]) -> None:
    module = Cnn(**options).module(digits())
    assert shapes(module) == expected
    assert module(torch.as_tensor(digits().test["x"][:3]).float()).shape == (3, 10)
    kinds = [torch.nn.Conv2d, torch.nn.ReLU, torch.nn.MaxPool2d]
    convolutions = kinds * len(options.get("channels", (8, 16)))
    ends = [torch.nn.Flatten, torch.nn.Linear]
    assert [type(part) for part in module.children()] == [*convolutions, *ends]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"channels": (1, 1, 1, 1)},
            "--channels: nothing is left of 8 x 8 pixels after 4 layers; give fewer channels",
        ),
        (
            {"kernel": 9, "channels": (1,), "padding": "valid"},
            "--channels: nothing is left of 8 x 8 pixels after 1 layers; give fewer channels, a sm",
        ),
        ({"examples": 1439}, "--examples: 1439 is more than the 1438 training images of digits; "),
        ({"kernel": 4}, "--kernel: a window of even width 4 has no middle pixel; give an odd "),
        ({"data_dir": Path("x")}, "--data-dir: digits is not read from 'x': it is part of gdcli"),
        ({"dataset": "mnist"}, "--data-dir: there are no files of mnist in "),
    ],
)
def test_a_cnn_that_cannot_be(options: dict[str, Any], error: str) -> None:
    with pytest.raises(UserError) as caught:
        Cnn(**options).load(rng())
    assert str(caught.value).startswith(error)


def test_the_first_training_images_may_be_enough() -> None:
    few = Cnn(examples=7).load(rng())
    np.testing.assert_array_equal(few.train["x"], digits().train["x"][:7])
    np.testing.assert_array_equal(few.train["y"], digits().train["y"][:7])
    np.testing.assert_array_equal(few.test["x"], digits().test["x"])


def test_an_mnist_set_comes_with_its_own_test_part(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("t10k", 2)):
        pixels = bytes(range(0, 250, 10)) * 4 * count
        images = struct.pack(">HBB3I", 0, 8, 3, count, 10, 10) + pixels
        labels = struct.pack(">HBBI", 0, 8, 1, count) + bytes(range(count))
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    problem = Cnn(dataset="mnist", data_dir=tmp_path)
    data = problem.load(rng())
    assert data.train["x"].shape == (5, 1, 10, 10)
    assert data.test["x"].shape == (2, 1, 10, 10)
    assert data.train["x"].dtype == np.float64
    assert data.train["x"].max() == 240 / 255
    assert data.train["y"].tolist() == [0, 1, 2, 3, 4]
    assert replace(problem, test_fraction=0).load(rng()).test == {}
    assert replace(problem, examples=2).load(rng()).examples == 2
    assert problem.module(data)(torch.as_tensor(data.test["x"]).float()).shape == (2, 10)


def test_every_place_of_the_table_is_seen_once_at_most() -> None:
    problem = MatrixFactorization(rows=9, columns=7, density=0.8, test_fraction=0.3)
    data = problem.load(rng())
    seen = [
        (row, column)
        for part in (data.train, data.test)
        for row, column in zip(part["row"].tolist(), part["column"].tolist(), strict=True)
    ]
    assert (data.examples, len(data.test["row"])) == (35, 15)
    assert len(set(seen)) == len(seen) == round(0.8 * 63)
    assert set(seen) <= {(row, column) for row in range(9) for column in range(7)}


def test_the_table_has_the_rank_but_for_the_noise() -> None:
    full: dict[str, Any] = {"density": 1, "test_fraction": 0}
    exact, noisy = (MatrixFactorization(noise=noise, **full).load(rng()) for noise in (0, 0.1))
    assert exact.test == {}
    order = np.lexsort((exact.train["column"], exact.train["row"]))
    values = exact.train["rating"][order].reshape(50, 40)
    assert np.linalg.matrix_rank(values) == 3
    assert values.std() == pytest.approx(1, rel=0.3)
    np.testing.assert_array_equal(noisy.train["row"], exact.train["row"])
    difference = noisy.train["rating"] - exact.train["rating"]
    assert difference.std() == pytest.approx(0.1, rel=0.1)


def test_the_penalty_of_the_factors() -> None:
    problem = MatrixFactorization()
    data = problem.load(rng())
    params, batch = tensors(problem.init(rng(), data)), tensors(data.train)
    added = replace(problem, l2=0.3).loss(params, batch) - problem.loss(params, batch)
    squares = sum(factor.square().sum() for factor in params.values())
    torch.testing.assert_close(added, 0.15 * squares)


def test_a_table_that_is_never_seen() -> None:
    with pytest.raises(UserError) as caught:
        MatrixFactorization(rows=2, columns=2, density=0.1).load(rng())
    assert str(caught.value) == (
        "--density: 0.1 of 4 places leaves no rating for training; give a larger part"
    )


@pytest.mark.parametrize("name", ["rosenbrock", "himmelblau", "beale", "rastrigin", "saddle"])
def test_the_known_minimum_is_the_height_at_the_minima(name: str) -> None:
    surface = PROBLEMS.find(name, "")()
    assert isinstance(surface, Surface)
    for x, y in surface.minima:
        height = surface.height(np.array([x]), np.array([y]))[0]
        assert height == pytest.approx(surface.minimum, abs=1e-9)
        assert (
            surface.height(x + np.linspace(-0.01, 0.01, 9), np.full(9, y)) >= height - 1e-9
        ).all()
