"""Methods of descent against what a user would write: `... method_times FOLDER RACE REPEATS`.

All contestants of a race take turns in one process of one thread. It writes the seconds of CPU
time of each in each repeat, for a step of one trial or for one whole solution, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.agreement import DisagreementError
from benchmarks.contestants.modules import criterion_for, module_for, tensors_for
from benchmarks.loaded import Loaded
from gdcli.engine.batch import batches_of, loop_for, train_batch
from gdcli.engine.device import keep_memory
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import TrainingState
from gdcli.experiment.experiment import Given, read
from gdcli.experiment.grid import Cohort

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from gdcli.experiment.grid import Trial

Once = Callable[[], float]  # runs a contestant once, and returns its seconds

TRIALS = 64
STEPS, WARM = 20, 5  # of gdcli's stack, in each repeat and before the first
LOOPS = 100  # steps of a loop over single trials, in each repeat
GAP = 1e-8  # of the loss to its minimum, that a solution reaches
BFLOAT16 = "muon+adamw in bfloat16"


def network(rule: str, steps: int = 10**5, trials: int = TRIALS) -> Loaded:
    """Return trials of the MLP of 64, 64 and 10 units on digits, batch 32, in float32."""
    grid: dict[str, object] = {"method": "minibatch", "batch-size": 32, "remainder": "drop"}
    grid |= {"lr": f"log:1e-4:1e-3:{trials}" if trials > 1 else "1e-3"}
    grid |= {"steps": steps, "record": str(steps), "optimizer": rule.partition(" ")[0]}
    options: dict[str, object] = {"muon.precision": "bfloat16"} if rule == BFLOAT16 else {}
    return loaded("mlp", {"test-fraction": 0.0}, grid, options)


def loaded(
    problem: str, options: dict[str, object], grid: dict[str, object], of_rule: dict[str, object]
) -> Loaded:
    """Return the trials of a grid."""
    given = Given(problem, options, grid, of_rule, (), lambda option: f"--{option}")
    trials = read(given).grid.trials
    data = examples_of(trials[0])
    return Loaded(trials, data, plan_of(trials[0], data.examples))


def stacked(rule: str) -> Once:
    """Return gdcli's steps; a time is that of one trial in one step."""
    own = network(rule)
    loop = loop_for(own.trials, own.data, own.plan, "cpu")
    state = TrainingState(0, loop.params, loop.optimizer.init(loop.params), loop.program.buffers)
    held = [loop.stepper.advance(state, WARM)]

    def once() -> float:
        began = time.process_time()
        held[0] = loop.stepper.advance(held[0], held[0].step + STEPS)
        return (time.process_time() - began) / STEPS / TRIALS

    return once


def muon(module: nn.Module, lr: float) -> Callable[[], None]:
    """Return a step of torch.optim.Muon for matrices and AdamW for the rest, as gdcli's rules."""
    matrices = [param for param in module.parameters() if param.ndim == 2]
    rest = [param for param in module.parameters() if param.ndim < 2]
    optimizers = (
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.1),
        torch.optim.AdamW(rest, lr=lr, weight_decay=0.1),
    )

    def step() -> None:
        for optimizer in optimizers:
            optimizer.step()  # type: ignore[no-untyped-call]  # torch gives it no types
            optimizer.zero_grad()

    return step


def averaged(module: nn.Module, lr: float) -> Callable[[], None]:
    """Return a step of torch.optim.Adam, and of the average of torch.optim.swa_utils."""
    optimizer = torch.optim.Adam(module.parameters(), lr=lr)
    ema = get_ema_multi_avg_fn(0.999)  # type: ignore[no-untyped-call]
    average = AveragedModel(module, multi_avg_fn=ema)

    def step() -> None:
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(module)

    vars(step)["average"] = average
    return step


def batches(own: Loaded, trial: Trial) -> NDArray[np.int64]:
    """Return the examples of each step of a trial."""
    return own.indices((trial.seed,))[:, 0]


class Loop:
    """One trial in torch.optim's own loop."""

    def __init__(self, own: Loaded, trial: Trial, make: Callable[[nn.Module, float], Any]) -> None:
        """Begin at the trial's starting point."""
        self.module, self.criterion = module_for(own, trial.seed), criterion_for(own)
        self.step = make(self.module, trial.lr)
        self.x, self.y = tensors_for(own, "cpu")
        self.places = torch.from_numpy(batches(own, trial))
        self.taken = count()

    def take(self) -> None:
        """Take a step."""
        chosen = self.places[next(self.taken) % len(self.places)]
        self.criterion(self.module(self.x[chosen]), self.y[chosen]).backward()  # type: ignore[no-untyped-call]
        self.step()

    def loss(self) -> float:
        """Return the loss of all examples, at the average where there is one."""
        at: Any = getattr(self.step, "average", self.module)
        with torch.no_grad():
            return float(self.criterion(at(self.x), self.y).item())


def looped(rule: str, make: Callable[[nn.Module, float], Any], tolerance: float) -> Once:
    """Return a loop's steps of one trial.

    Raises DisagreementError where it ends with another loss than gdcli.
    """
    own = network(rule, STEPS, 1)
    loop = Loop(own, own.first, make)
    for _ in range(STEPS):
        loop.take()
    (batch,) = batches_of((Cohort(own.trials),))
    _, curves = train_batch(batch, own.data, "cpu", lambda _: None)
    begun, ours = curves.values["train_loss"][:, 0].tolist()
    apart = abs(loop.loss() - ours) / abs(begun - ours)
    if not apart <= tolerance:
        raise DisagreementError(f"{rule}: a loop's loss falls by {apart:.1e} more or less")

    def once() -> float:
        began = time.process_time()
        for _ in range(LOOPS):
            loop.take()
        return (time.process_time() - began) / LOOPS

    return once


def solved() -> dict[str, Once]:
    """Return both ways to solve 64 logistic regressions, which begin at points of their own."""
    whole: dict[str, object] = {"test-fraction": 0.0}
    grid: dict[str, object] = {"method": "gd", "optimizer": "lbfgs", "seed": f"0:{TRIALS - 1}"}
    own = loaded("logistic-regression", whole, {**grid, "steps": 60, "record": "1"}, {})
    x, y = own.examples
    l2 = float(vars(own.first.problem)["l2"])

    def slopes(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ point[:-1] + point[-1]
        loss = float(np.logaddexp(0, z).mean() - (y[:, 0] * z).mean())
        slope = (1 / (1 + np.exp(-z)) - y[:, 0]) / len(z)
        weight = point[:-1]
        gradient = np.append(x.T @ slope + l2 * weight, slope.sum())
        return loss + 0.5 * l2 * float(weight @ weight), gradient

    points = [np.concatenate([a.ravel() for a in own.starts[s].values()]) for s in own.seeds]
    exact = {"ftol": 0.0, "gtol": 1e-12, "maxiter": 10_000}
    best = minimize(slopes, points[0], jac=True, method="L-BFGS-B", options=exact).fun
    (batch,) = batches_of((Cohort(own.trials),))
    _, curves = train_batch(batch, own.data, "cpu", lambda _: None)
    losses = curves.values["train_loss"]
    if abs(losses[-1] - best).max() > GAP / 10 or abs(losses[0, 0] - slopes(points[0])[0]) > GAP:
        raise DisagreementError("lbfgs: scipy has another loss")
    steps = int((losses > best + GAP).any(axis=1).sum())

    def ours() -> float:
        loop = loop_for(own.trials, own.data, own.plan, "cpu")
        began = time.process_time()
        state = TrainingState(
            0, loop.params, loop.optimizer.init(loop.params), loop.program.buffers
        )
        loop.stepper.advance(state, steps)
        return time.process_time() - began

    def close(intermediate_result: Any) -> None:
        if intermediate_result.fun <= best + GAP:
            raise StopIteration

    def scipy() -> float:
        began = time.process_time()
        for point in points:
            minimize(slopes, point, jac=True, method="L-BFGS-B", options=exact, callback=close)
        return time.process_time() - began

    return {"gdcli": ours, "scipy": scipy}


def contestants(race: str) -> dict[str, Once]:
    """Return the contestants of a race by name, gdcli first."""
    if race == "lbfgs":
        return solved()
    found = {"gdcli": stacked(race)}
    rule, plus, wrapper = race.partition("+")
    if wrapper in {"ema", "sam"}:
        found["without"] = stacked(rule)
    if race in {"muon+adamw", BFLOAT16}:
        found["torch loop"] = looped(race, muon, 0.05)  # torch's Muon rounds to bfloat16
    if race == "adam+ema":
        found["torch loop"] = looped(race, averaged, 1e-3)
    if not plus:
        found["adam"] = stacked("adam")
    return found


def main() -> None:
    """Let all contestants take turns, in an order that is another one each time."""
    folder, race, repeats = sys.argv[1:]
    torch.set_num_threads(1)
    keep_memory()
    with np.errstate(all="ignore"):
        running = contestants(race)
        times: dict[str, list[float]] = {name: [] for name in running}
        for once in running.values():
            once()
        for _ in range(int(repeats)):
            for name in random.sample([*running], len(running)):
                times[name].append(running[name]())
    (Path(folder) / "times.json").write_text(json.dumps(times), encoding="utf-8")


if __name__ == "__main__":
    main()
