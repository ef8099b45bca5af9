"""What ends a run: its tables, made of the batches in order, facts for theory, the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any

from gdcli.catalog.user_code import source_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, floors_of, greatest_bound_of
from gdcli.errors import RunError
from gdcli.experiment import toml
from gdcli.experiment.axis import text
from gdcli.experiment.grid import setting
from gdcli.experiment.training import BUDGETS
from gdcli.numbers import harmless
from gdcli.optimizer import OF_EVERY_RULE
from gdcli.runs import atomic, manifest
from gdcli.runs.fingerprint import problem_key
from gdcli.runs.manifest import commit
from gdcli.runs.table import header, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gdcli.engine.batch import TrialBatch
    from gdcli.engine.families.known import Curvature
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Problem
    from gdcli.runs.store import Shard, Store


def theory_of(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the facts of every problem of an experiment, with the options that vary."""
    trials: dict[Problem, list[Trial]] = {}
    for trial in experiment.grid.trials:
        trials.setdefault(trial.problem, []).append(trial)
    rounds = any(getattr(problem, "quantize", "none") != "none" for problem in trials)
    names = list(_options(experiment))
    return [
        _facts(those, names) | (_quantized(those[0]) if rounds else {}) for those in trials.values()
    ]


def _quantized(trial: Trial) -> dict[str, Any]:
    """Return which parts of a network are rounded, and its size in bytes."""
    size = family_of(trial.problem).size(trial.problem, examples_of(trial))
    return {"quantized": size._asdict()} if size else {}


def _options(experiment: Experiment) -> Iterator[str]:
    """Yield the varied options of the problem."""
    others = (*OF_EVERY_RULE, *BUDGETS)
    yield from (n for n in experiment.varied if "." not in n and n not in others)


def _facts(trials: Sequence[Trial], names: list[str]) -> dict[str, Any]:
    """Return the facts of the problem that some trials share."""
    trial, data = trials[0], examples_of(trials[0])
    problem, least = trial.problem, greatest_bound_of(trial)
    curvature = family_of(problem).theory.curvature(problem, data)
    facts = {
        "curvature": curvature,
        "baseline": family_of(problem).theory.baseline(problem, data),
        "spread": family_of(problem).theory.spread(problem, data),
    }
    return {
        "problem": problem_key(problem),
        "options": {name.replace("-", "_"): _cell(trial, name) for name in names},
        "examples": data.examples,
        "minimum": least.loss if least and least.attained else None,
        "infimum": least.loss if least and not least.attained else None,
        "floors": [_strict(floor._asdict()) for floor in floors_of(trials, data)],
        **{name: found._asdict() if found else None for name, found in facts.items()},
        **_kind(problem, curvature),
    }


def _kind(problem: Problem, curvature: Curvature | None) -> dict[str, Any]:
    """Return what follows from the kind of a problem; None: not known."""
    family = family_of(problem)
    # The user's own problem may have an option of this name that says something else.
    scale = None if source_of(type(problem)) else getattr(problem, "scale", None)
    quadratic = curvature is not None and curvature.exact and curvature.smallest >= 0
    return {
        "network": family.is_network,
        "convex": True if quadratic or family.is_convex(problem) else None,
        "bound": family.never_below(problem),
        "scale": scale,
    }


def _strict(values: dict[str, float]) -> dict[str, float | None]:
    """Return numbers as strict JSON has them, None for infinite ones."""
    return {name: value if isfinite(value) else None for name, value in values.items()}


def _cell(trial: Trial, name: str) -> str:
    """Return a setting as the text of a cell of the tables."""
    return "" if (value := setting(trial, name)) is None else harmless(text(value))


def write_tables(
    experiment: Experiment,
    batches: Sequence[TrialBatch],
    store: Store,
    *,
    clear: bool,
    again: bool = False,
) -> dict[str, int]:
    """Write the results unless another process has; return the trials by how they ended.

    The process holds the claim on the tables. `clear`: no other process is at work in the folder;
    `again`: write them even if they are there. Raises RunError where a shard was damaged, UserError
    where the folder became another run's.
    """
    store.check_spec()
    written = manifest.counts(store.folder, store.id)
    if written and not again:
        return written
    with commit() as name:
        rest = _write_files(experiment, batches, store)
        if clear:
            # Before the manifest: once it is there, no process returns to a finished run.
            store.clear_temporaries()
        made_at = manifest.made_at(name)
    counts = {"all": len(experiment.grid.trials), "failed": rest.failed, "diverged": rest.diverged}
    content = manifest.manifest(experiment, store.id, store.spec, counts, rest.paths)
    content |= {**made_at, "theory": theory_of(experiment)}
    manifest.write(store.folder, content, manifest.FILES)
    return counts


def _write_files(experiment: Experiment, batches: Sequence[TrialBatch], store: Store) -> _Rest:
    """Write the tables, durable once the manifest is; return the shards' counts and timings."""
    rest = _Rest()

    def write(name: str, chunks: Iterable[bytes]) -> None:
        atomic.write(store.folder / name, chunks, lasting=False)

    curves, summary = (header(table.names) for table in tables_of(experiment))
    write("curves.csv", chain([curves.encode()], _curves(batches, store, rest)))
    write("summary.csv", [summary.encode(), *rest.summary])
    write("experiment.toml", [toml.dump(experiment).encode()])
    timings = ["batch,cohort,trials,seconds\n", *rest.timings]
    write("timings.csv", ["".join(timings).encode()])
    return rest


@dataclass
class _Rest:
    """The parts of the shards besides the curves, which fit into memory."""

    summary: list[bytes] = field(default_factory=list)
    timings: list[str] = field(default_factory=list)
    failed: int = 0
    diverged: int = 0
    paths: dict[str, list[str]] = field(default_factory=dict)  # of every cohort, in order

    def add(self, batch: TrialBatch, shard: Shard) -> None:
        held = self.paths.setdefault(batch.cohort, [])
        held += [shard.path] if shard.path not in ("", *held) else []
        self.summary.append(shard.summary)
        place = f"{batch.index},{batch.cohort},{len(batch.trials)}"
        self.timings.append(f"{place},{shard.seconds!r}\n")
        self.failed += shard.failed
        self.diverged += shard.diverged


def _curves(batches: Sequence[TrialBatch], store: Store, rest: _Rest) -> Iterator[bytes]:
    """Yield the curves, and keep the rest of every shard."""
    for batch in batches:
        shard = store.load(batch.index)
        if shard is None:
            what = f"{store.folder}: batch {batch.index} was damaged while the run went on"
            raise RunError(f"{what}; run the same command again to compute it anew")
        rest.add(batch, shard)
        yield shard.curves
