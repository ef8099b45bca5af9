"""The trials whose words are checked: problems, methods, optimizers, schedules and budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Group(NamedTuple):
    """Trials that differ in learning rate, seed and optimizer only."""

    problem: str
    options: dict[str, Any]
    grid: dict[str, Any]
    budgets: tuple[int, ...]  # in steps for gd, in epochs for sgd and minibatch
    added: bool = False  # when all limits were set


FILES = "tests/words/data"
LONG = {"dim": 10, "spread": 0.5}


def groups() -> Iterator[Group]:
    """Yield the groups, those of full-batch descent first."""
    yield from _bowls()
    yield from _functions()
    yield from _linear_models()
    yield from _networks()
    yield from _targets()
    yield from _noisy_bowls()
    yield from _noisy_linear_models()
    yield from _noisy_crawls()
    yield from _noisy_networks()
    yield from (group._replace(added=True) for group in (*_others(), *_noisy_others()))


def _bowls() -> Iterator[Group]:
    for condition, budgets in ((1, (20,)), (10, (8, 60, 400)), (100, (60, 1000)), (1e4, (300,))):
        limit = 2 / condition
        rates = [limit * share for share in (0.02, 0.3, 0.9, 1.0, 1.005, 1.2)]
        yield _bowl(condition, {"lr": rates}, budgets)
    for optimizer, shares in (
        ("momentum", (0.03, 0.4, 1.7, 1.9, 1.95)),
        ("nesterov", (0.03, 0.4, 0.67, 0.75)),
    ):
        for condition, budgets in ((10, (30, 200)), (300, (100, 800))):
            rates = [2 / condition * share for share in shares]
            yield _bowl(condition, {"optimizer": [optimizer], "lr": rates}, budgets)
    for rule, tried in (
        ("adam", (0.003, 0.05, 0.5)),
        ("rmsprop", (0.003, 0.05)),
        ("sign-sgd", (0.001, 0.03, 0.09)),
        ("lion", (0.001, 0.03)),
        ("adagrad", (0.1, 0.5)),
    ):
        yield _bowl(30, {"optimizer": [rule], "lr": list(tried)}, (40, 300))
    for schedule in ("cosine", "exponential", "step", "inverse-time", "linear", "one-cycle"):
        yield _bowl(1000, {"schedule": [schedule], "lr": [0.0002, 0.0015]}, (100, 500))
        yield _bowl(10, {"schedule": [schedule], "lr": [0.003, 0.05]}, (200,))
    yield _bowl(10, {"weight-decay": [0.1], "lr": [0.01, 0.1]}, (60, 400))
    yield _bowl(10, {"clip-norm": [0.1], "lr": [0.02, 0.1]}, (60, 400))


def _bowl(condition: float, grid: dict[str, Any], budgets: tuple[int, ...]) -> Group:
    return Group("quadratic", {"condition": condition, **LONG}, grid, budgets)


def _functions() -> Iterator[Group]:
    yield Group("rosenbrock", {}, {"lr": [0.0003, 0.001, 0.002, 0.004]}, (100, 1500))
    momentum = {"optimizer": ["momentum", "adam"], "lr": [0.0003, 0.001, 0.01]}
    yield Group("rosenbrock", {}, momentum, (300, 2000))
    yield Group("himmelblau", {}, {"lr": [0.001, 0.01, 0.02, 0.03]}, (30, 300))
    yield Group("beale", {}, {"lr": [0.001, 0.01, 0.03]}, (100, 1500))
    yield Group("saddle", {}, {"lr": [0.05, 0.3, 1.2]}, (20, 100, 500))
    yield Group("saddle", {"start": "1.0,0.0"}, {"lr": [0.05, 0.3]}, (300,))
    yield Group("rastrigin", {}, {"lr": [0.0005, 0.002, 0.005, 0.02]}, (30, 300))
    for formula, start, rates in (
        ("abs(w)", "1.05", [0.1, 0.01]),
        ("w**2", "3", [0.1, 0.5, 1.0, 1.1]),
        ("(w - 2)**2", "5", [0.001, 0.5, 1.0]),
        ("w**4", "2", [0.001, 0.02, 0.1]),
        ("x**2 - y**2", "1,0.0001", [0.05, 0.1]),
        ("x**2 - y**2", "1,0", [0.1]),
        ("cos(w)", "0", [0.1, 0.5]),
        ("cos(w)", "0.3", [0.1, 0.5, 2.5]),
        ("sin(3*w) + w**2/4", "3", [0.01, 0.1, 0.4]),
        ("log(1 + exp(-w))", "0", [0.1, 1.0]),
        ("exp(w) - 2*w", "3", [0.01, 0.1, 1.2]),
        ("abs(x) + 10*abs(y)", "1,1", [0.03]),
        ("-w", "0", [0.1]),
    ):
        options = {"formula": formula, "start": start}
        yield Group("expression", options, {"lr": rates}, (40, 300))
    for optimizer in ("adam", "sign-sgd"):
        options = {"formula": "abs(w)", "start": "1.05"}
        yield Group("expression", options, {"optimizer": [optimizer], "lr": [0.1]}, (40,))


def _linear_models() -> Iterator[Group]:
    wide = {"lr": [0.01, 0.1, 0.4, 0.49, 0.6]}
    yield Group("linear-regression", {"dataset": "diabetes"}, wide, (20, 100, 1000))
    momentum = {"optimizer": ["momentum", "nesterov"], "lr": [0.003, 0.05, 0.3]}
    yield Group("linear-regression", {"dataset": "diabetes"}, momentum, (50, 400))
    plain = {"data": f"{FILES}/housing.csv", "target": "value", "scale": "none"}
    yield Group("linear-regression", plain, {"lr": [1e-10, 1e-9, 4e-9, 1e-8]}, (50, 500))
    decay = {"weight-decay": [0.1], "lr": [0.1, 0.4]}
    yield Group("linear-regression", {"dataset": "diabetes"}, decay, (40, 300))
    schedules = {"schedule": ["cosine", "exponential"], "lr": [0.03, 0.3]}
    yield Group("linear-regression", {"dataset": "diabetes"}, schedules, (40, 300))
    yield Group("logistic-regression", {}, {"lr": [0.03, 0.3, 3, 30]}, (50, 400))
    yield Group("logistic-regression", {"l2": 0}, {"lr": [0.1, 1]}, (100, 600))
    yield Group("logistic-regression", {"scale": "none"}, {"lr": [1e-6, 0.1, 1]}, (100,))
    yield Group("softmax-regression", {"dataset": "iris"}, {"lr": [0.03, 0.3, 3]}, (50, 600))
    yield Group("softmax-regression", {"dataset": "wine", "l2": 0}, {"lr": [0.1, 1]}, (100, 600))
    adam = {"optimizer": ["adam"], "lr": [0.003, 0.1]}
    yield Group("softmax-regression", {"dataset": "iris"}, adam, (100, 600))
    yield Group("huber", {}, {"lr": [0.03, 0.3]}, (100, 600))
    yield Group("poisson-regression", {}, {"lr": [0.01, 0.1]}, (50, 300))
    yield Group("svm", {"hinge": "squared"}, {"lr": [0.003, 0.03]}, (100, 600))
    yield Group("svm", {}, {"lr": [0.01, 0.1]}, (100, 600))


def _networks() -> Iterator[Group]:
    iris = {"dataset": "iris", "hidden": "8"}
    yield Group("mlp", iris, {"lr": [0.01, 0.3, 3, 30], "seed": [0, 1]}, (50, 400))
    yield Group("mlp", {**iris, "activation": "tanh"}, {"lr": [0.3, 3, 30]}, (100,))
    adam = {"optimizer": ["adam", "momentum"], "lr": [0.001, 0.03, 1]}
    yield Group("mlp", iris, adam, (100, 400))
    digits = {"dataset": "digits", "hidden": "32"}
    yield Group("mlp", digits, {"lr": [0.3, 4, 10]}, (100,))
    deep = {"dataset": "iris", "hidden": "16,16,16,16,16", "activation": "sigmoid"}
    yield Group("mlp", deep, {"lr": [0.1, 1]}, (100,))
    yield Group("mlp", {**iris, "hidden": "16,16"}, {"lr": [100]}, (200,))
    yield Group("matrix-factorization", {}, {"lr": [0.5, 5, 30]}, (60, 400))
    yield Group("matrix-factorization", {"init-scale": 0}, {"lr": [5]}, (100,))
    wine = {"dataset": "wine", "hidden": "8"}
    yield Group("mlp", wine, {"schedule": ["cosine"], "lr": [0.03, 0.3]}, (200,))


def _targets() -> Iterator[Group]:
    """Yield trials with a target: some are on their way to it, some are never there."""
    diabetes = {"dataset": "diabetes"}
    for target in (1500, 1430, 1421.5, 1400):
        rates = {"lr": [0.01, 0.1, 0.3], "target-loss": target}
        yield Group("linear-regression", diabetes, rates, (20, 60, 200))
    for target in (0.0577, 0.06, 0.065, 0.08):
        rates = {"lr": [0.1, 1, 3], "target-loss": target}
        yield Group("logistic-regression", {}, rates, (30, 100))
    for target in (1e-1, 1e-6, 1e-15):
        rates = {"lr": [0.001, 0.01, 0.05], "target-loss": target}
        yield _bowl(10, rates, (20, 100))
        momentum = {"optimizer": ["momentum", "nesterov"], **rates}
        yield _bowl(30, momentum, (100,))
        sign = {"optimizer": ["sign-sgd", "adam"], "lr": [0.001], "target-loss": target}
        yield _bowl(30, sign, (200, 500))
    for target in (0.105, 0.12):
        rates = {"lr": [0.1, 1], "target-loss": target}
        yield Group("softmax-regression", {"dataset": "iris"}, rates, (60, 200))
    rates = {"lr": [0.001, 0.002], "target-loss": 0.01}
    yield Group("rosenbrock", {}, rates, (500, 2000))


def _noisy_bowls() -> Iterator[Group]:
    noisy = {"condition": 10, "noise": 1, "examples": 256, "spread": 0.5, "dim": 4}
    for order in ("replacement", "shuffle"):
        rates = {"lr": [0.0003, 0.003, 0.03, 0.15, 0.25], "order": order, "seed": [0, 1]}
        mini = {"method": ["minibatch"], "batch-size": [16], **rates}
        yield Group("quadratic", noisy, mini, (5, 20, 100))
    steep = {**noisy, "condition": 1000}
    sgd = {"method": ["sgd"], "lr": [1e-5, 2e-4], "seed": [0, 1]}
    yield Group("quadratic", steep, sgd, (10, 60))
    for rule, tried in (("momentum", [0.0003, 0.01]), ("adam", [0.0003, 0.01, 0.1])):
        grid = {"method": ["minibatch"], "optimizer": [rule], "lr": tried, "batch-size": [16]}
        yield Group("quadratic", noisy, grid, (20, 100))
    ended = {"method": ["sgd"], "schedule": ["cosine", "inverse-time"], "lr": [0.0003, 0.01]}
    yield Group("quadratic", noisy, ended, (20,))


def _noisy_linear_models() -> Iterator[Group]:
    sgd = {"method": ["sgd"], "lr": [1e-5, 0.001, 0.01, 0.1], "seed": [0, 1]}
    yield Group("linear-regression", {"dataset": "diabetes"}, sgd, (20, 100))
    mini = {"method": ["minibatch"], "lr": [0.001, 0.03, 0.3], "seed": [0, 1]}
    yield Group("linear-regression", {"dataset": "diabetes"}, mini, (20, 100))
    logistic = {"method": ["minibatch"], "lr": [0.003, 0.1, 3], "seed": [0, 1]}
    yield Group("logistic-regression", {}, logistic, (10, 60))
    softmax = {"method": ["minibatch"], "batch-size": [16], "lr": [0.01, 0.3], "seed": [0, 1]}
    yield Group("softmax-regression", {"dataset": "iris"}, softmax, (20, 100))
    yield Group("softmax-regression", {"dataset": "wine", "l2": 0}, softmax, (50,))
    adam = {"method": ["minibatch"], "optimizer": ["adam"], "lr": [0.001, 0.03], "seed": [0, 1]}
    yield Group("softmax-regression", {"dataset": "iris"}, adam, (20, 100))
    ended = {"method": ["minibatch"], "schedule": ["cosine"], "lr": [0.003, 0.1], "seed": [0, 1]}
    yield Group("logistic-regression", {}, ended, (30,))


def _noisy_crawls() -> Iterator[Group]:
    """Yield trials whose features have unlike scales: flat, and no noise is at fault."""
    plain = {"data": f"{FILES}/housing.csv", "target": "value", "scale": "none"}
    mini = {"method": ["minibatch"], "batch-size": [20], "lr": [1e-10, 1e-9], "seed": [0, 1]}
    yield Group("linear-regression", plain, mini, (20, 100))
    narrow = {"dataset": "synthetic", "features": 60, "examples": 100, "noise": 1}
    yield Group("linear-regression", narrow, {"lr": [0.03, 0.1, 0.3]}, (100, 1000))
    yield Group("linear-regression", narrow, {**mini, "lr": [0.003, 0.01]}, (30, 150))


def _noisy_networks() -> Iterator[Group]:
    mini = {"method": ["minibatch"], "batch-size": [16], "lr": [0.003, 0.1, 1], "seed": [0, 1]}
    yield Group("mlp", {"dataset": "iris", "hidden": "8"}, mini, (15, 60))
    adam = {**mini, "optimizer": ["adam"], "lr": [0.001, 0.03]}
    yield Group("mlp", {"dataset": "iris", "hidden": "8"}, adam, (15, 60))
    digits = {"method": ["minibatch"], "lr": [0.01, 0.3], "seed": [0]}
    yield Group("mlp", {"dataset": "digits", "hidden": "32"}, digits, (10, 30))
    deep = {"dataset": "iris", "hidden": "16,16,16,16,16", "activation": "sigmoid"}
    yield Group("mlp", deep, {**mini, "lr": [0.1, 1]}, (20,))
    catapult = {"method": ["minibatch"], "lr": [4, 8], "seed": [0]}
    yield Group("mlp", {"dataset": "digits", "hidden": "32"}, catapult, (10,))
    adam = {"method": ["minibatch"], "optimizer": ["adam"], "lr": [0.001, 1], "seed": [0, 1]}
    yield Group("mlp", {"dataset": "wine", "hidden": "16"}, adam, (20, 80))
    yield Group(f"{FILES}/dead.py", {}, {"lr": [0.01], "seed": list(range(6))}, (50,))
    lion = {"method": ["minibatch"], "optimizer": ["lion", "rmsprop"], "lr": [0.001, 0.01]}
    yield Group("mlp", {"dataset": "iris", "hidden": "8"}, lion, (60,))
    yield Group("logistic-regression", {}, lion, (40,))
    cancer = {"method": ["minibatch"], "optimizer": ["adam"], "lr": [0.003], "seed": [0, 1]}
    yield Group("mlp", {"dataset": "breast-cancer", "hidden": "32,32"}, cancer, (60,))


def _others() -> Iterator[Group]:
    """Yield trials that were added when all limits were set."""
    for condition, budgets in ((3, (25,)), (40, (70, 500)), (2500, (400,))):
        rates = [2 / condition * share for share in (0.05, 0.5, 0.97, 1.0, 1.001, 1.5)]
        yield _other_bowl(condition, {"lr": rates, "seed": [7]}, budgets)
    for rule, tried in (
        ("momentum", (0.05, 0.7, 1.5)),
        ("nesterov", (0.1, 0.5)),
        ("adam", (0.3,)),
        ("rmsprop", (0.02,)),
        ("sign-sgd", (0.05,)),
        ("adadelta", (5.0,)),
        ("nadam", (0.5,)),
    ):
        rates = [2 / 60 * share for share in tried]
        yield _other_bowl(60, {"optimizer": [rule], "lr": rates, "seed": [3]}, (50, 450))
    yield Group("quadratic", {"instance": "deepobs"}, {"lr": [0.001, 0.01, 0.03, 0.04]}, (30,))
    yield Group("rosenbrock", {"b": 10}, {"lr": [0.003, 0.01, 0.03]}, (200, 2500))
    moving = {"optimizer": ["momentum", "adam"], "lr": [0.002, 0.02]}
    yield Group("beale", {}, moving, (400,))
    yield Group("himmelblau", {"start": "-3,-1"}, {"lr": [0.002, 0.015]}, (50,))
    for formula, start, steps, budgets in (
        ("(x-1)**2 + 50*(y+2)**2", "3,3", [0.005, 0.019, 0.02, 0.021], (60, 500)),
        ("x**4/4 - x**2/2 + y**2", "0,1", [0.05, 0.3], (100,)),
        ("exp(-w)+0.01*w", "-1", [0.1, 2], (80, 600)),
    ):
        yield Group("expression", {"formula": formula, "start": start}, {"lr": steps}, budgets)
    noisy = {"dataset": "synthetic", "features": 20, "noise": 3}
    yield Group("linear-regression", noisy, {"lr": [0.02, 0.2, 1.5]}, (30, 300))
    ended = {"schedule": ["linear", "one-cycle", "inverse-time"], "lr": [0.05, 0.2]}
    yield Group("linear-regression", {}, ended, (60,))
    two = {"optimizer": ["vanilla", "momentum"], "lr": [0.05, 0.5, 5]}
    yield Group("logistic-regression", {"l2": 0.01}, two, (80,))
    yield Group("softmax-regression", {"dataset": "digits"}, {"lr": [0.1, 2]}, (60,))
    yield Group("huber", {}, {"optimizer": ["adam"], "lr": [0.3, 3]}, (150,))
    yield Group("svm", {"hinge": "squared"}, {"optimizer": ["nesterov"], "lr": [0.01]}, (200,))
    yield Group("poisson-regression", {}, {"optimizer": ["adam"], "lr": [0.01, 0.1]}, (100,))
    wine = {"dataset": "wine", "hidden": "12"}
    yield Group("mlp", wine, {"lr": [0.05, 1, 20], "seed": [5]}, (80, 300))
    tanh = {"dataset": "breast-cancer", "hidden": "8", "activation": "tanh"}
    yield Group("mlp", tanh, {"lr": [0.1, 2], "seed": [5]}, (120,))
    yield Group("matrix-factorization", {"l2": 0.01}, {"lr": [2, 8]}, (150,))
    code = {"dataset": "iris", "hidden": "6", "code": 2}
    yield Group("autoencoder", code, {"lr": [0.1, 2]}, (150,))


def _other_bowl(condition: float, grid: dict[str, Any], budgets: tuple[int, ...]) -> Group:
    return Group("quadratic", {"condition": condition, "dim": 6, "spread": 1.0}, grid, budgets)


def _noisy_others() -> Iterator[Group]:
    """Yield noisy ones that were added when all limits were set."""
    noisy = {"condition": 5, "noise": 2, "examples": 300, "dim": 3}
    drawn = {"method": ["minibatch"], "batch-size": [10], "order": "replacement"}
    yield Group(
        "quadratic", noisy, {**drawn, "lr": [0.001, 0.02, 0.1, 0.3], "seed": [4, 5]}, (15, 80)
    )
    steep = {"condition": 50, "noise": 1, "examples": 200, "dim": 3}
    sgd = {"method": ["sgd"], "lr": [0.0001, 0.002, 0.02], "seed": [4]}
    yield Group("quadratic", steep, sgd, (15, 80))
    both = {"method": ["minibatch", "sgd"], "lr": [0.0003, 0.01, 0.05], "seed": [4]}
    yield Group("linear-regression", {"dataset": "synthetic", "noise": 2}, both, (12, 60))
    one = {"method": ["sgd"], "lr": [0.0005, 0.02, 0.5], "seed": [4]}
    yield Group("logistic-regression", {}, one, (10, 40))
    mini = {"method": ["minibatch"], "seed": [4]}
    moving = {**mini, "optimizer": ["momentum"], "lr": [0.001, 0.05]}
    yield Group("softmax-regression", {"dataset": "wine"}, moving, (15, 70))
    wine = {"dataset": "wine", "hidden": "12"}
    two = {**mini, "optimizer": ["vanilla", "momentum"], "lr": [0.01, 0.3]}
    yield Group("mlp", wine, two, (20, 90))
    ended = {**mini, "optimizer": ["adam"], "schedule": ["cosine"], "lr": [0.002, 0.02]}
    yield Group("mlp", {"dataset": "iris", "hidden": "8"}, ended, (40,))
