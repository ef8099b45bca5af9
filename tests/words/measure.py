"""The facts of the suite's trials, and what becomes of each in ten times as many steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from gdcli.analysis.theory import convergence_rate, limit_of, noise_floor
from gdcli.discovery import name_of
from gdcli.engine.batch import TrialBatch, loop_for, train_batch
from gdcli.engine.curvature import Curvature, curvature_of
from gdcli.engine.examples import examples_of
from gdcli.engine.gradient_noise import noise_of
from gdcli.engine.least_loss import least_loss
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.recorder import DIVERGED, Curves
from gdcli.engine.trajectory import facts
from gdcli.grid import Trial, cohorts_of
from gdcli.optimizers.vanilla import Vanilla
from gdcli.problem import Analytic, Data, LinearModel, Network
from gdcli.schedule import Schedule
from tests.grids import experiment
from tests.words.trials import Group, groups

LONGER = 10
TAIL = 64  # last steps of full-batch descent whose swing is looked at
RECORDS = ("epoch", "log", "7")  # what is recorded must not matter
DENSE = 250  # parameters of a Hessian that is computed whole


@dataclass(frozen=True)
class Prolonged(Schedule):
    """A schedule that keeps the multiplier with which a shorter run of it ends."""

    schedule: Schedule
    horizon: int

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the multiplier of the shorter run, or its last."""
        return self.schedule.multiplier(min(step, self.horizon - 1), self.horizon)


def rows() -> Iterator[dict[str, Any]]:
    """Yield what is stored of each trial of the suite."""
    for group in groups():
        for budget in group.budgets:
            yield from _rows(group, budget)


def _rows(group: Group, budget: int) -> Iterator[dict[str, Any]]:
    grid = dict(group.grid)
    target = grid.pop("target-loss", None)
    record = RECORDS[len(group.options) % len(RECORDS)]
    for cohort in experiment(group.problem, group.options, **grid, epochs=budget).grid.cohorts:
        yield from _cohort(group, cohort.trials, target, record)


def _cohort(
    group: Group, trials: tuple[Trial, ...], target: float | None, record: str
) -> Iterator[dict[str, Any]]:
    data = examples_of(trials[0])
    plan = plan_of(trials[0], data.examples)
    longer, ends = _trained(tuple(_prolonged(trial, plan.steps) for trial in trials), data, plan)
    shorter = tuple(
        replace(trial, training=replace(trial.training, record=record)) for trial in trials
    )
    _, curves = train_batch(TrialBatch(0, "", shorter), data, "cpu", lambda _: None)
    assert curves.trajectory is not None
    with np.errstate(all="ignore"):
        found = facts(curves.trajectory)
    for i, trial in enumerate(trials):
        observed = {name: float(values[i]) for name, values in found.items()}
        summary = _summary(curves, i)
        if target is not None and summary["final_train_loss"] <= target:
            continue  # it is there, and would have ended
        descent = _descent(trial, plan) | {"target_loss": target}
        known = _known(trial, data, plan)
        truth = _truth(longer, i, plan, known.get("minimum"), target)
        yield {
            "id": trial.id,
            "what": _what(group, trial, plan) + (f" target={target}" if target else ""),
            "record": record,
            "observed": {k: v for k, v in (observed | summary).items() if v == v},
            "descent": descent,
            "known": known,
            "truth": truth | {name: float(values[i]) for name, values in ends.items()},
        }


def _prolonged(trial: Trial, horizon: int) -> Trial:
    epochs = LONGER * (trial.training.epochs or 1)
    record = "step" if trial.method == "gd" else "epoch"
    training = replace(trial.training, epochs=epochs, record=record)
    return replace(trial, training=training, schedule=Prolonged(trial.schedule, horizon))


def _trained(
    trials: tuple[Trial, ...], data: Data, short: Plan
) -> tuple[Curves, dict[str, np.ndarray]]:
    """Train ten times as long; return the curves, and what is measured at the shorter end."""
    plan = plan_of(trials[0], data.examples)
    assert plan.steps == LONGER * short.steps
    ends: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):
        loop = loop_for(trials, data, plan, "cpu")
        points = iter(plan.points())

        def watch(program: Any, params: Any) -> None:
            if next(points) == short.steps:
                ends.update(_ends(program, params))

        loop.watch = watch
        curves = loop.run(lambda _: None)
    places = loop.program.lanes
    return curves, {name: places.gather(values[None])[0] for name, values in ends.items()}


def _ends(program: Any, params: Any) -> dict[str, np.ndarray]:
    """Return the ends of the Hessian's eigenvalues, nan where it is too large."""
    start = program.vectors(params)
    size = start.shape[-1]
    lowest = np.full(start.shape[:-1], np.nan)
    highest = lowest.copy()
    if size <= DENSE:
        columns = []
        for i in range(size):
            unit = np.zeros(start.shape)
            unit[..., i] = 1
            along = program.parted(_like(start, unit), params)
            product = program.hessian_product(params, along)
            columns.append(np.asarray(program.vectors(product), np.float64))
        hessian = np.stack(columns, -1)
        sound = np.isfinite(hessian).all((-1, -2))
        values = np.linalg.eigvalsh((hessian + hessian.swapaxes(-1, -2))[sound] / 2)
        lowest[sound], highest[sound] = values[..., 0], values[..., -1]
    return {"curvature_lowest": lowest, "curvature_highest": highest}


def _like(array: Any, values: np.ndarray) -> Any:
    """Return values as the library and precision of an array have them."""
    if isinstance(array, np.ndarray):
        return values.astype(array.dtype)
    import torch

    return torch.tensor(values, dtype=array.dtype)


def _summary(curves: Curves, i: int) -> dict[str, Any]:
    """Return what summary.csv has besides the facts."""
    last = int(curves.length[i]) - 1
    values = {name: column[:, i] for name, column in curves.values.items()}
    names = ("train_loss", "grad_norm", "test_loss", "train_accuracy", "test_accuracy")
    return {
        "status": "diverged" if curves.ended[i] == DIVERGED else "finished",
        "stopped_by": "",
        "steps": curves.steps[last],
        "initial_train_loss": float(values["train_loss"][0]),
        **{f"final_{name}": float(values[name][last]) for name in names if name in values},
    }


def _descent(trial: Trial, plan: Plan) -> dict[str, Any]:
    multipliers = [trial.schedule.multiplier(s, plan.steps) for s in range(plan.steps)]
    return {
        "lr": trial.lr,
        "method": trial.method,
        "optimizer": name_of(trial.optimizer),
        "beta": getattr(trial.optimizer, "beta", None),
        "schedule": name_of(trial.schedule),
        "end_multiplier": multipliers[-1] / max(multipliers),
        "weight_decay": trial.optimizer.weight_decay,
        "clip_norm": trial.optimizer.clip_norm,
        "steps_per_epoch": plan.steps_per_epoch,
        "horizon": plan.steps,
    }


def _known(trial: Trial, data: Data, plan: Plan) -> dict[str, Any]:
    """Return what is known of the problem and of this descent."""
    problem, optimizer = trial.problem, trial.optimizer
    curvature = curvature_of(problem, data)
    steady = name_of(trial.schedule) == "constant"
    found: dict[str, Any] = {
        "network": isinstance(problem, Network),
        "convex": _convex(problem, curvature),
        **_least(problem, data, trial.problem.minimum),
        **_baseline(problem, data),
    }
    if isinstance(problem, LinearModel):
        found["scaled"] = getattr(problem, "scale", None) != "none"
    if curvature and curvature.exact and curvature.smallest > 1e-13 * curvature.largest:
        found["condition"] = curvature.largest / curvature.smallest
    if curvature and steady and (limit := limit_of(optimizer, trial.method, curvature)):
        found |= {"limit": limit.lr, "limit_exact": limit.exact}
    exact = trial.method == "gd" and steady and curvature and curvature.exact
    if exact and not optimizer.weight_decay and "condition" in found:
        ends = (curvature.smallest, curvature.largest)
        found["rate"] = convergence_rate(optimizer, trial.lr, ends)
    plain = type(optimizer) is Vanilla and optimizer == Vanilla()
    if plain and trial.method != "gd" and trial.training.order == "replacement" and steady:
        noise = noise_of(problem, data)
        if noise and noise.exact and data.examples % plan.batch_size == 0:
            floor = noise_floor(trial.lr, plan.batch_size, noise.curvatures, noise.variances)
            if np.isfinite(floor):
                found |= {"floor": floor, "floor_exact": True}
    return {name: value for name, value in found.items() if value is not None}


def _convex(problem: Any, curvature: Curvature | None) -> bool | None:
    if isinstance(problem, LinearModel):
        return True
    return True if isinstance(problem, Analytic) and curvature is not None else None


def _least(problem: Any, data: Data, minimum: float | None) -> dict[str, Any]:
    """Return the least training loss: in closed form, or by BFGS with many steps."""
    if isinstance(problem, (Network,)) or name_of(problem) == "matrix-factorization":
        return {"bound": 0.0}
    found = minimum if minimum is not None else least_loss(problem, data)
    if found is not None:
        return {"minimum": found}
    if not isinstance(problem, LinearModel) or getattr(problem, "hinge", "squared") == "plain":
        return {}
    x, y = data.train["x"], data.train["y"]
    shape = x.shape[1], y.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        z = (x @ weight + bias).T
        cost, slope, _ = problem.assess(z, y.T)
        pull = x.T @ slope.T / len(x) + problem.l2 * weight
        value = cost.sum() / len(x) + 0.5 * problem.l2 * (weight**2).sum()
        return value, np.concatenate([pull.ravel(), slope.mean(1)])

    start = np.zeros(shape[0] * shape[1] + shape[1])
    options = {"maxiter": 20000, "gtol": 1e-12, "ftol": 1e-16, "maxfun": 50000, "maxcor": 30}
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).fun
    if best < 1e-4 and problem.l2 == 0 and "accuracy" in problem.metric_names:
        return {"minimum": 0.0, "attained": False}
    return {"minimum": float(best)}


def _baseline(problem: Any, data: Data) -> dict[str, Any]:
    """Return what a constant prediction reaches."""
    if "y" not in data.train:
        return {}
    accuracy = [n for n in problem.metric_names if n == "accuracy"]
    y = np.asarray(data.train["y"])
    if accuracy or isinstance(problem, Network):
        if not np.issubdtype(y.dtype, np.integer) and not accuracy:
            return {}
        classes, test = _classes(y), _classes(np.asarray(data.test["y"]))
        names, counts = np.unique(classes, return_counts=True)
        shares = counts / counts.sum()
        major = names[counts.argmax()]
        found = {
            "classes": len(names),
            "majority_train": float(shares.max()),
            "majority_test": float((test == major).mean()),
        }
        if name_of(problem) != "svm":
            found["baseline_loss"] = float(-(shares * np.log(shares)).sum())
        return found
    if name_of(problem) == "linear-regression":
        return {"baseline_loss": float(0.5 * y.var(0).sum())}
    return {}


def _classes(y: np.ndarray) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(1)
    return y.ravel().astype(int)


def _truth(
    curves: Curves, i: int, plan: Plan, minimum: float | None, target: float | None
) -> dict[str, Any]:
    """Return what becomes of a trial."""
    steps = np.asarray(curves.steps[: int(curves.length[i])])
    losses = curves.values["train_loss"][: len(steps), i].astype(np.float64)
    norms = curves.values["grad_norm"][: len(steps), i].astype(np.float64)
    horizon, far = plan.steps, LONGER * plan.steps
    until = losses[steps <= horizon]
    found: dict[str, Any] = {
        "diverged_at": int(steps[-1]) if curves.ended[i] == DIVERGED else None,
        "lowest": float(np.nanmin(losses)),
        "lowest_until": float(np.nanmin(until)),
        "highest_until": float(np.nanmax(until)),
    }
    if steps[-1] < horizon:
        return found
    now = losses[(steps > horizon * 15 / 16) & (steps <= horizon)]
    if "test_loss" in curves.values:
        tests = curves.values["test_loss"][: len(steps), i][(steps > 0) & (steps <= horizon)]
        parts = np.array_split(tests, min(64, len(tests)))
        late = float(tests[-max(1, len(tests) // 16) :].mean())
        found |= {"test_low": float(min(part.mean() for part in parts)), "test_late": late}
    found |= {"now": float(now.mean()), "now_error": _error(now), "last": float(until[-1])}
    count = min(TAIL, horizon // 4)
    tail = until[-count:]
    found |= {
        "swing": float(tail.max() - tail.min()),
        "rises": int((np.diff(tail) > 0).sum()),
        "norm": float(norms[steps <= horizon][-1]),
        "norm_largest": float(np.nanmax(norms[steps <= horizon])),
    }
    goals = {} if target is None else {"target": target}
    if minimum is not None:
        goals["near"] = minimum + 1e-3 * (losses[0] - found["last"])
    for name, goal in goals.items():
        hit = np.flatnonzero((losses <= goal) & (steps > horizon))
        found[f"reached_{name}"] = int(steps[hit[0]]) if len(hit) else None
    if steps[-1] == far:
        later = losses[steps > far - horizon * 10 / 16]
        tail = losses[-count:]
        found |= {
            "later": float(later.mean()),
            "later_error": _error(later),
            "end": float(losses[-1]),
            "later_swing": float(tail.max() - tail.min()),
            "later_rises": int((np.diff(tail) > 0).sum()),
            "norm_end": float(norms[-1]),
        }
    return found


def _error(values: np.ndarray) -> float:
    """Return the standard error of a mean, of values that are correlated: by batches of them."""
    if len(values) < 4:
        return 0.0
    parts = np.array_split(values, min(8, len(values) // 2))
    means = [part.mean() for part in parts]
    return float(np.std(means, ddof=1) / np.sqrt(len(means)))


def _what(group: Group, trial: Trial, plan: Plan) -> str:
    """Return a trial in a few words."""
    options = " ".join(f"{k}={str(v).rpartition('/')[2]}" for k, v in group.options.items())
    own = [f"wd={trial.optimizer.weight_decay}"] if trial.optimizer.weight_decay else []
    own += [f"clip={trial.optimizer.clip_norm}"] if trial.optimizer.clip_norm else []
    words = [name_of(trial.problem), options, trial.method, name_of(trial.optimizer), *own]
    schedule = name_of(trial.schedule)
    words += [schedule] if schedule != "constant" else []
    words += [trial.training.order] if trial.method != "gd" else []
    words += [f"lr={trial.lr:.4g} seed={trial.seed} steps={plan.steps}"]
    return " ".join(word for word in words if word)
