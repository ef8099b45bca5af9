"""The facts of the suite's trials, and what becomes of each in ten times as many steps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from gdcli.analysis.diagnosis.evidence import LEVELS, Descent, Known, Observed
from gdcli.analysis.theory import convergence_rate, limit_of, noise_floor
from gdcli.discovery import name_of
from gdcli.engine.batch import loop_for
from gdcli.engine.curvature import Curvature, curvature_of
from gdcli.engine.examples import examples_of
from gdcli.engine.gradient_noise import noise_of
from gdcli.engine.least_loss import least_loss
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.recorder import CONVERGED, DIVERGED, Curves
from gdcli.engine.trajectory import CAUSES, Trajectory, facts, watched
from gdcli.grid import Trial, cohorts_of
from gdcli.optimizers.vanilla import Vanilla
from gdcli.problem import Analytic, Data, LinearModel, Network
from gdcli.schedule import Schedule
from tests.grids import experiment
from tests.words.trials import Group, groups

LONGER = 10
TAIL = 64  # last steps of full-batch descent whose swing is looked at
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
    full = group.grid.get("method", ["gd"]) == ["gd"]
    grid = {**group.grid, "epochs": budget, "record": "step" if full else "epoch"}
    named = experiment(group.problem, group.options, **grid).grid
    for cohort in named.cohorts:
        yield from _cohort(group, cohort.trials)


def _cohort(group: Group, trials: tuple[Trial, ...]) -> Iterator[dict[str, Any]]:
    data = examples_of(trials[0])
    plan = plan_of(trials[0], data.examples)
    longer = [_prolonged(trial, plan.steps) for trial in trials]
    (cohort,) = cohorts_of(longer)
    curves, ends = _trained(cohort.trials, data, plan)
    found = _facts(trials, data, plan, curves, ends)
    for i, trial in enumerate(trials):
        observed = {name: float(values[i]) for name, values in found.items()}
        row = {
            "id": trial.id,
            "what": _what(group, trial, plan),
            "held_out": int(hashlib.sha256(trial.id.encode()).hexdigest(), 16) % 2 == 1,
            "observed": observed | _summary(curves, i, plan),
            "descent": _descent(trial, plan),
            "known": _known(trial, data, plan),
        }
        row["truth"] = _truth(curves, i, plan, row["known"].get("minimum"))
        yield row


def _prolonged(trial: Trial, horizon: int) -> Trial:
    training = replace(trial.training, epochs=LONGER * (trial.training.epochs or 1))
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
        gradients: list[np.ndarray] = []

        def watch(program: Any, params: Any) -> None:
            step = next(points)
            vectors = np.asarray(program.vectors(loop.gradient or {}), np.float64)
            gradients.append(vectors)
            del gradients[:-2]
            if step == short.steps:
                ends.update(_ends(program, params, gradients))

        loop.watch = watch
        curves = loop.run(lambda _: None)
    places = loop.program.lanes
    return curves, {name: places.gather(values[None])[0] for name, values in ends.items()}


def _ends(program: Any, params: Any, gradients: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the turn of the last two gradients and the smallest eigenvalue of the Hessian."""
    last = gradients[-1]
    before = gradients[0]
    norms = np.linalg.norm(last, axis=-1) * np.linalg.norm(before, axis=-1)
    turn = np.where(norms > 0, (last * before).sum(-1) / np.where(norms > 0, norms, 1), np.nan)
    size = last.shape[-1]
    lowest = np.full(last.shape[:-1], np.nan)
    highest = lowest.copy()
    if size <= DENSE:
        columns = []
        for i in range(size):
            unit = np.zeros_like(last)
            unit[..., i] = 1
            along = program.parted(_like(program.vectors(params), unit), params)
            product = program.hessian_product(params, along)
            columns.append(np.asarray(program.vectors(product), np.float64))
        hessian = np.stack(columns, -1)
        sound = np.isfinite(hessian).all((-1, -2))
        values = np.linalg.eigvalsh((hessian + hessian.swapaxes(-1, -2))[sound] / 2)
        lowest[sound], highest[sound] = values[..., 0], values[..., -1]
    return {"turn": turn, "lowest": lowest, "highest": highest}


def _like(array: Any, values: np.ndarray) -> Any:
    """Return values as the library and precision of an array have them."""
    if isinstance(array, np.ndarray):
        return values.astype(array.dtype)
    import torch

    return torch.tensor(values, dtype=array.dtype)


def _facts(
    trials: tuple[Trial, ...],
    data: Data,
    plan: Plan,
    curves: Curves,
    ends: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the facts of the first tenth of the curves."""
    wanted = watched(plan, stochastic=trials[0].method != "gd")
    steps = np.asarray(curves.steps)
    at = np.asarray(wanted.steps)
    places = np.minimum(np.searchsorted(steps, at), len(steps) - 1)  # past the end: not looked at
    names = [n for n in ("train_loss", "grad_norm", "test_loss") if n in curves.values]
    count = len(trials)
    unknown = np.full(count, np.nan)
    over = steps[curves.length - 1]  # the last recorded step of each
    diverged = (curves.ended == DIVERGED) & (over <= plan.steps)
    losses = curves.values["train_loss"][curves.length - 1, np.arange(count)]
    cause = np.where(np.isnan(losses), "nan", np.where(np.isfinite(losses), "growth", "overflow"))
    codes = np.array([CAUSES.index(c) for c in cause])
    before = steps[np.maximum(curves.length - 2, 0)]
    found = facts(
        Trajectory(
            wanted,
            plan.steps,
            at,
            {name: curves.values[name][places] for name in names},
            np.minimum(over, plan.steps),
            np.where(diverged, over, -1),
            np.where(diverged, before, -1),
            np.where(diverged, codes, 0),
            ends.get("turn", unknown) if trials[0].method == "gd" else unknown,
            ends.get("lowest", unknown),
            unknown,
        )
    )
    return {**found, "final_sharpness": ends.get("highest", unknown)}


def _summary(curves: Curves, i: int, plan: Plan) -> dict[str, Any]:
    """Return what summary.csv has besides the facts."""
    steps = curves.steps[: int(curves.length[i])]
    place = max(k for k, step in enumerate(steps) if step <= plan.steps)
    ended = int(curves.ended[i]) if steps[-1] <= plan.steps else 0
    values = {name: column[:, i] for name, column in curves.values.items()}
    accuracies = [n for n in ("train_accuracy", "test_accuracy") if n in values]
    kept = ["train_loss", "grad_norm", *accuracies]
    kept += ["test_loss"] if "test_loss" in values else []
    return {
        "status": "diverged" if ended == DIVERGED else "finished",
        "stopped_by": "target" if ended == CONVERGED else "",
        "steps": steps[place],
        "initial_train_loss": float(values["train_loss"][0]),
        **{f"final_{name}": float(values[name][place]) for name in kept},
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
        "target_loss": trial.training.target_loss,
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


def _truth(curves: Curves, i: int, plan: Plan, minimum: float | None) -> dict[str, Any]:
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
    found |= {"now": float(now.mean()), "now_error": _error(now), "last": float(until[-1])}
    tail = until[-TAIL:]
    found |= {
        "swing": float(tail.max() - tail.min()),
        "rises": int((np.diff(tail) > 0).sum()),
        "norm": float(norms[steps <= horizon][-1]),
        "norm_largest": float(np.nanmax(norms[steps <= horizon])),
    }
    if minimum is not None:
        for name, share in (("near", 1e-3), ("close", 1e-2)):
            goal = minimum + share * (losses[0] - float(now.mean()))
            hit = np.flatnonzero((losses <= goal) & (steps > horizon))
            found[f"reached_{name}"] = int(steps[hit[0]]) if len(hit) else None
    if steps[-1] == far:
        later = losses[steps > far - horizon * 10 / 16]
        tail = losses[-TAIL:]
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


FIELDS = tuple(f.name for kind in (Observed, Descent, Known) for f in fields(kind)) + LEVELS
