"""Run folders made by hand, for tests that read and print them."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from math import ceil, hypot, isfinite, isnan
from typing import TYPE_CHECKING

from gdcli.runs.table import FACTS, curves_table, summary_table

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 100
CURVATURES = (1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Made:
    """One trial: its settings and its losses, one an epoch."""

    losses: Sequence[float]
    method: str = "gd"
    batch_size: int = EXAMPLES
    optimizer: str = "vanilla"
    lr: float = 0.1
    schedule: str = "constant"
    seed: int = 0
    varied: Sequence[object] = ()
    status: str = "finished"
    stopped_by: str = ""
    message: str = ""
    test_losses: Sequence[float] = ()
    metrics: Sequence[float] = ()  # at the end
    grad_norms: Sequence[float] = ()
    identity: str = field(default_factory=map("{:012x}".format, count()).__next__)

    @property
    def settings(self) -> list[object]:
        """The cells of the settings, as both files have them."""
        own = [self.method, self.batch_size, self.optimizer, self.lr, self.schedule, self.seed]
        return [self.identity, *own, *self.varied]


def write_run(
    folder: Path, trials: Sequence[Made], varied: Sequence[str] = (), metrics: Sequence[str] = ()
) -> Path:
    """Write summary.csv and curves.csv as a run does; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(varied), tuple(metrics)
    ends, points = summary_table(*names, ()).names, curves_table(*names).names
    _write(folder / "summary.csv", ends, [_ended(made, names) for made in trials])
    lines = [line for made in trials for line in _recorded(made, metrics)]
    _write(folder / "curves.csv", points, lines)
    return folder


def _write(path: Path, header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def _ended(made: Made, names: tuple[tuple[str, ...], tuple[str, ...]]) -> list[object]:
    """Return the line of summary.csv."""
    cells: dict[str, object] = {"status": made.status, "message": made.message}
    if made.status != "failed":
        finals = dict(zip((f"final_{name}" for name in names[1]), made.metrics, strict=False))
        facts = facts_of(made)
        cells |= {
            "stopped_by": made.stopped_by,
            "steps": len(made.losses) - 1,
            "initial_train_loss": made.losses[0],
            "final_train_loss": made.losses[-1],
            "best_train_loss": min(made.losses),
            "final_grad_norm": made.grad_norms[-1] if made.grad_norms else "",
            **finals,
            **{end.name: _cell(facts.get(end.name)) for end in FACTS},
        }
    if made.test_losses and made.status != "failed":
        cells |= {"final_test_loss": made.test_losses[-1], "best_test_loss": min(made.test_losses)}
    measures = summary_table(*names, ()).measures
    return [*made.settings, *(cells.get(column.name, "") for column in measures)]


def _cell(fact: object) -> object:
    unknown = fact is None or (isinstance(fact, float) and isnan(fact))
    return "" if unknown else fact


def facts_of(made: Made) -> dict[str, object]:
    """Return what a run keeps of a trial whose every step is watched."""
    last, lost = len(made.losses) - 1, made.status == "diverged"
    losses = made.losses[:last] if lost else made.losses
    facts: dict[str, object] = {"watched": len(losses)}
    if lost:
        cause = "nan" if isnan(made.losses[-1]) else "growth"
        cause = cause if isfinite(made.losses[-1]) or isnan(made.losses[-1]) else "overflow"
        facts |= {"diverged_after": last - 1, "diverged_at": last, "diverged_by": cause}
    norms = [norm for norm in made.grad_norms[: len(losses)] if isfinite(norm)]
    if norms:
        facts |= {"initial_grad_norm": made.grad_norms[0], "largest_grad_norm": max(norms)}
    known = [loss for loss in losses if not isnan(loss)]
    for name, extreme in (("lowest", min), ("highest", max)):
        if known:
            facts[f"{name}_train_loss"] = extreme(known)
            facts[f"{name}_train_step"] = list(losses).index(extreme(known))
        if known and (low := min(known)) < losses[0]:
            most = losses[0] - 0.999 * (losses[0] - low)
            facts["fallen_step"] = next(k for k, loss in enumerate(losses) if loss <= most)
    below = [step for step, loss in enumerate(losses) if loss <= losses[0]]
    if below and below[-1] + 1 < len(losses):
        facts["above_start_from"] = below[-1] + 1
    facts |= _levels("level_{}", losses, last)
    if not lost and last:
        single = losses[-9:]
        late = losses[ceil(last / 2) :]
        facts |= {
            "late_rises": sum(b > a for a, b in pairwise(single)),
            "late_swing": max(single) - min(single),
            "largest_late_rise": max(b - min(late[: k + 1]) for k, b in enumerate(late)),
        }
    if made.test_losses:
        tests = list(made.test_losses[: len(losses)])
        levels = _levels("{}", tests, last)
        facts |= {"lowest_test_loss": min(tests, default=None), "late_test_loss": levels.get("16")}
        facts["lowest_test_step"] = tests.index(min(tests)) if tests else None
    return facts


def _levels(name: str, losses: Sequence[float], horizon: int) -> dict[str, object]:
    """Return the mean loss of every sixteenth of the steps after the start that has one."""
    parts: dict[str, list[float]] = {}
    for step, loss in enumerate(losses[1:], start=1):
        parts.setdefault(name.format(ceil(16 * step / horizon)), []).append(loss)
    return {key: sum(part) / len(part) for key, part in parts.items()}


def _recorded(made: Made, metrics: Sequence[str]) -> Iterator[list[object]]:
    """Yield the lines of curves.csv; metrics are recorded at the end only."""
    for epoch, loss in enumerate(made.losses):
        test = made.test_losses[epoch] if made.test_losses else ""
        norm = made.grad_norms[epoch] if made.grad_norms else ""
        yield [
            *made.settings,
            epoch,
            epoch,
            epoch * EXAMPLES,
            loss,
            norm,
            test,
            *[""] * len(metrics),
        ]


def descent(lr: float, seed: int = 0, epochs: int = 20, beta: float = 0.0) -> Made:
    """Return gradient descent on a quadratic bowl, computed in plain Python."""
    start = random.Random(seed)  # noqa: S311 - a starting point is no secret
    point, speed = [start.gauss(0, 3) for _ in CURVATURES], [0.0] * len(CURVATURES)
    losses, norms, status = [_bowl(point)], [_slope(point)], "finished"
    for _ in range(epochs):
        slope = [k * x for k, x in zip(CURVATURES, point, strict=True)]
        speed = [beta * v + g for v, g in zip(speed, slope, strict=True)]
        point = [x - lr * v for x, v in zip(point, speed, strict=True)]
        losses.append(_bowl(point))
        norms.append(_slope(point))
        if not isfinite(losses[-1]) or losses[-1] > 1e9 * max(1, losses[0]):
            status = "diverged"
            break
    optimizer = "momentum" if beta else "vanilla"
    tests = [1.1 * loss for loss in losses]
    made = Made(losses, optimizer=optimizer, lr=lr, seed=seed, status=status, test_losses=tests)
    return replace(made, grad_norms=norms)


def _slope(point: Sequence[float]) -> float:
    return hypot(*(k * x for k, x in zip(CURVATURES, point, strict=True)))


def _bowl(point: Sequence[float]) -> float:
    return 0.5 * sum(k * x * x for k, x in zip(CURVATURES, point, strict=True))


def grid(lrs: Sequence[float] = (0.01, 0.1, 1.0), seeds: int = 3) -> list[Made]:
    """Return gradient descent with and without momentum; it diverges from lr 0.2 on without."""
    betas = (0.0, 0.5)
    return [descent(lr, seed, beta=beta) for beta in betas for lr in lrs for seed in range(seeds)]
