"""Rules that see a whole trial: what they take beside loops over single trials, and beside less."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import run
from benchmarks.result import Result, spread
from gdcli.process import SETTINGS

STEP, SOLUTION = "us a trial-step", "us a trial"


@dataclass(frozen=True)
class Race:
    """What is raced: the name of a rule, and the goals of others' times over its own."""

    name: str
    title: str
    goals: dict[str, float] = field(default_factory=dict)
    unit: str = STEP
    quick: bool = False


RACES = (
    Race("muon+adamw", "Muon with AdamW", {"torch loop": 15}, quick=True),
    Race("muon+adamw in bfloat16", "Muon with AdamW, iterated in bfloat16", {"torch loop": 15}),
    Race("adam+ema", "Adam with an average, EMA", {"without": 1 / 1.1}, quick=True),
    Race("adamw+ema", "AdamW with an average, EMA", {"without": 1 / 1.1}),
    Race("momentum+sam", "momentum with SAM", {"without": 1 / 2.1}, quick=True),
    Race("vanilla+sam", "plain descent with SAM", {"without": 1 / 2.1}),
    Race("lbfgs", "L-BFGS, logistic regression", {"scipy": 10}, SOLUTION, quick=True),
    Race("soap", "SOAP"),
    Race("shampoo", "Shampoo"),
)
TRIALS = 64


def measure(race: Race, repeats: int) -> list[Result]:
    """Return the times of all contestants of a race, gdcli's first.

    Raises ContestantError where they do not end with the same loss.
    """
    with TemporaryDirectory() as folder:
        script = ("-m", "benchmarks.scripts.method_times", "{out}", race.name, str(repeats))
        run(script, Path(folder), SETTINGS)
        times = json.loads((Path(folder) / "times.json").read_text(encoding="utf-8"))
    return [_result(race, name, times) for name in times]


def _result(race: Race, name: str, times: dict[str, list[float]]) -> Result:
    ratios = [other / own for other, own in zip(times[name], times["gdcli"], strict=True)]
    trials = TRIALS if race.unit == SOLUTION else 1
    return Result(
        section="methods",
        workload=race.title,
        contestant=name,
        unit=race.unit,
        value=spread([1e6 * spent / trials for spent in times[name]]),
        trials=TRIALS,
        ratio=None if name == "gdcli" else spread(ratios),
        goal=race.goals.get(name),
    )
