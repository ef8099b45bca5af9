"""How the data meets the training dynamics: what each setting of a grid makes of every example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gdcli.analysis.data_map import margins_of, regions_of
from gdcli.analysis.label_noise import LabelNoise, label_noise
from gdcli.datasets.room import human
from gdcli.discovery import name_of
from gdcli.engine.batch import batches_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families import alone
from gdcli.engine.memory import allowance, lanes_of
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import DIVERGED, Curves
from gdcli.errors import UserError
from gdcli.experiment import Experiment
from gdcli.grid import Trial, cohorts_of
from gdcli.studies.dynamics import NUMBERS, Dynamics, Measures
from gdcli.studies.labelled import Examples, examples_for
from gdcli.studies.labels import with_labels
from gdcli.studies.options import DataMap
from gdcli.studies.training import Advance, MakeBar, in_batches, none_trained, watched

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.studies.options import Machine


@dataclass
class Explored:
    """One setting: what its trials, one a seed, make of every example, in the mean over them."""

    trial: Trial  # the setting, at seed 0
    seeds: int = 0  # that were trained to the end
    diverged: int = 0  # those that were not; nothing is taken from them
    loss: float = 0.0  # training loss at the end
    measures: Measures = field(default_factory=dict)  # (examples,) each
    noise: LabelNoise | None = None  # of a classifier's labels

    @property
    def right_at_end(self) -> float:
        """The share of the examples that were right after the last epoch."""
        return float(self.measures["right"].mean())

    def add(self, loss: float, measures: Measures) -> None:
        """Take in another seed, as sums."""
        if "first_learned" in measures:
            measures["learned"] = (measures["first_learned"] > 0).astype(float)
        self.seeds += 1
        self.loss += loss
        for name, values in measures.items():
            self.measures[name] = self.measures.get(name, 0.0) + values

    def finish(self, examples: Examples, options: DataMap) -> None:
        """Turn the sums into means, and judge them."""
        if not self.seeds:
            return
        own = self.measures
        learned = own.pop("learned", None)
        self.loss /= self.seeds
        for name, values in own.items():
            own[name] = values / self.seeds
        if learned is None or examples.labels is None:
            return
        with np.errstate(invalid="ignore"):  # 0 / 0 is nan: never learned
            own["first_learned"] = own["first_learned"] * self.seeds / learned
        likely = own.pop("likely")
        own["margin"] = margins_of(likely, examples.labels)
        own["predicted"] = likely.argmax(0)
        own["region"] = regions_of(own["confidence"], own["variability"], options.ambiguous_from)
        self.noise = label_noise(own["margin"], examples.labels, options.error_margin)
        own["likely_error"] = self.noise.accused


@dataclass(frozen=True)
class Exploration:
    """What every setting of a grid makes of the examples."""

    experiment: Experiment
    options: DataMap
    examples: Examples
    settings: tuple[Explored, ...]
    failed: Mapping[Trial, str] = field(default_factory=dict)  # trials that raised, left out

    @property
    def trained(self) -> tuple[Explored, ...]:
        """The settings of which a seed was trained to the end, the lowest loss first."""
        return tuple(sorted((s for s in self.settings if s.seeds), key=lambda s: s.loss))


def explore(
    experiment: Experiment, options: DataMap, machine: Machine, make_bar: MakeBar
) -> Exploration:
    """Train an experiment's trials and return what they make of every training example.

    Trials that raise an exception are left out. Raises UserError before anything is computed: for
    a problem without examples, a grid whose trials have different ones, labels to flip where there
    are none, and memory that does not suffice; RunError where every trial raises.
    """
    trials = experiment.grid.trials
    if lone := next(filter(alone, trials), None):
        what = f"{name_of(lone.optimizer)} trains each trial by itself, where none is watched"
        raise UserError("--optimizer", what, "take one of those that gdcli optimizers lists")
    examples = examples_for(trials, options.flip_labels)
    _check_room(trials, examples, machine)
    settings = {trial: Explored(trial) for trial in (replace(t, seed=0) for t in trials)}

    def work(batch: TrialBatch, device: str, advance: Advance) -> None:
        curves, measures = _watched(batch, device, advance, examples, options.el2n_epoch)
        for place, trial in enumerate(batch.trials):
            setting = settings[replace(trial, seed=0)]
            if curves.ended[place] == DIVERGED:
                setting.diverged += 1
            else:
                own = {name: values[place] for name, values in measures.items()}
                setting.add(float(curves.values["train_loss"][-1, place]), own)

    _, failed = in_batches(trials, machine, make_bar, work)
    if len(failed) == len(trials):
        raise none_trained(failed)
    for setting in settings.values():
        setting.finish(examples, options)
    return Exploration(experiment, options, examples, tuple(settings.values()), failed)


def _watched(
    batch: TrialBatch, device: str, advance: Advance, examples: Examples, el2n_epoch: int
) -> tuple[Curves, Measures]:
    """Train a batch; return its curves and what its trials make of the examples."""
    first = batch.trials[0]
    data = examples_of(first)  # of its own problem, whose options may scale them
    if examples.labels is not None:
        data = with_labels(data, examples.labels)
    epochs = plan_of(first, data.examples).recorded - 1
    dynamics = Dynamics(examples.labels, min(el2n_epoch, epochs))
    program, curves = watched(batch, data, device, advance, dynamics.add)
    with np.errstate(all="ignore"):  # of trials that diverged
        return curves, dynamics.measures(program) if dynamics.chunks else {}


def _check_room(trials: Sequence[Trial], examples: Examples, machine: Machine) -> None:
    """Raise UserError where the sums of a batch, and those of the settings, need too much."""
    lanes = max(map(lanes_of, batches_of(cohorts_of(trials))))
    settings = len({replace(trial, seed=0) for trial in trials})
    numbers = NUMBERS + examples.classes
    needed = 8 * numbers * examples.data.examples * (2 * lanes + settings)
    allowed = allowance(machine.memory)
    if needed > allowed:
        what = f"what is kept of {examples.data.examples} examples needs {human(needed)}"
        fix = f"explore fewer settings at a time, or allow --memory {human(1.01 * needed)}"
        raise UserError("--memory", f"{what}, more than {human(allowed)}", fix)
