"""The result of a run in its first sentences, and what a constant answer reaches beside it."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import TIED
from gdcli.analysis.diagnosis.verdict import SHARE_ROUNDING
from gdcli.fields import show
from gdcli.numbers import distinct_labels, rounded
from gdcli.report.console import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gdcli.analysis.best import Setting
    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.engine.families.known import Baseline
    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import TrialResult

PARTS = ("train", "test")
NAMED = 3  # settings, of those that do no better
Figures: TypeAlias = "dict[str, Value]"
_PART = {"train": "training", "test": "test"}
OTHER_LOSSES = ("class_weights", "data", "dataset", "target")  # options
MOST = 3  # groups of settings that have a sentence of their own


def headline(diagnoses: Diagnoses, settings: Sequence[Setting], labels: Sequence[str]) -> list[str]:
    """Return which setting has the lowest training loss, among those whose losses compare.

    Where the best constant prediction has another loss, the data or the loss are others, as with
    weights of the classes: the lower of two such losses is not the better one.
    """
    groups: dict[object, list[tuple[Setting, str]]] = {}
    for pair in zip(settings, labels, strict=True):
        named = dict(zip(diagnoses.run.names, pair[0].values, strict=True))
        # Where no constant is known, as of a hinge, the options tell.
        key = (constant_loss(diagnoses, pair[0]), *(named.get(name) for name in OTHER_LOSSES))
        groups.setdefault(key, []).append(pair)
    ran = [group for group in groups.values() if any(isfinite(one.median) for one, _ in group)]
    if len(ran) < 2:
        return result_lines(settings, labels)
    lines = []
    for group in ran[:MOST]:
        lines += result_lines([one for one, _ in group], [label for _, label in group], part=True)
    more = f"and those of {len(ran) - MOST} more groups of settings " if len(ran) > MOST else ""
    return [*lines, f"These losses {more}do not compare: their data or loss functions differ."]


def result_lines(
    settings: Sequence[Setting], labels: Sequence[str], *, part: bool = False
) -> list[str]:
    """Return which setting has the lowest training loss, at which rate, and who ends as low.

    `part`: they are some of the run's settings, and are named in any case.
    """
    ranked = sorted(zip(settings, labels, strict=True), key=lambda pair: pair[0].median)
    first, label = ranked[0]
    if first.best is None or not isfinite(first.median):
        return [_without_result([trial for one in settings for trial in one.trials])]
    if not any(trial.falls for setting in settings for trial in setting.trials):
        whose = f" of {label}{' and the like' * (len(ranked) > 1)}" if part else ""
        end = rounded(first.median)
        return [f"No learning rate tried lowers the loss{whose}: the best ends at {end}."]
    seeds = len(first.best.ran)
    over = f" (the median over {seeds} seeds)" if seeds > 1 else ""
    loss = f"{rounded(first.median)}{over}"
    if len(ranked) == 1:
        if len(first.candidates) == 1:
            return [f"{label} at learning rate {_rate(first)} ends at training loss {loss}."]
        return [f"The best learning rate of {label} is {_rate(first)}: training loss {loss}."]
    near = first.median + TIED * max(0.0, _start(first) - first.median)
    tied = [f"{name} at {_rate(one)}" for one, name in ranked[1:] if one.median <= near]
    others = ""
    if tied:
        more = f" and {len(tied) - 3} more" if len(tied) > 3 else ""
        end = "ends" if len(tied) == 1 else "end"
        names = f"{', '.join(tied[:3])}{more}"
        others = f"; {names} {end} as low, within {TIED:.2%} of the fall"
    lowest = min(one.median for setting in settings for one in setting.candidates)
    what = "has the lowest loss"
    if first.median > lowest:  # of rates that end alike the soonest is the best
        what = f"ends within {TIED:.2%} of the fall of the lowest loss"
    return [f"{label} at learning rate {_rate(first)} {what}: {loss}{others}."]


def _without_result(trials: Sequence[TrialResult]) -> str:
    """Return what became of the trials of a run in which no learning rate has a median."""
    ends = {trial.status for trial in trials if trial.status != "finished"}
    what = " or ".join(sorted(ends or {"diverged", "failed"}))
    if any(trial.status == "finished" for trial in trials):
        return f"At every learning rate at least half of the seeds {what}."
    return f"The trial {what}." if len(trials) == 1 else f"Every trial {what}."


def _rate(setting: Setting) -> str:
    """Return the best rate, told apart from the others of its row."""
    best = setting.best
    return (
        distinct_labels(candidate.lr for candidate in setting.candidates)[best.lr]
        if best
        else "none"
    )


def _start(setting: Setting) -> float:
    """Return the lowest loss that a trial of a setting starts at."""
    starts = (trial.fact("initial_train_loss") for trial in setting.trials)
    return min((start for start in starts if start is not None), default=0.0)


def baseline_lines(
    diagnoses: Diagnoses, settings: Sequence[Setting], labels: Sequence[str]
) -> list[str]:
    """Return what a constant answer reaches, and which settings are no better at their best rate.

    No line where nothing is known. Of settings on several problems each has its own.
    """
    found: dict[Baseline, list[tuple[Setting, str]]] = {}
    for setting, label in zip(settings, labels, strict=True):
        base = _of(diagnoses, setting)
        if base is not None and any(_figures(base).values()):
            found.setdefault(base, []).append((setting, label))
    lines = []
    for base, those in found.items():
        of = "" if len(found) == 1 else f" of {_listed([label for _, label in those])}"
        lines.append(f"Baseline{of}: {_reached(base)}.")
        lines += _no_better(base, those)
    return lines


def baseline_columns(diagnoses: Diagnoses, settings: Sequence[Setting]) -> list[Figures]:
    """Return the same figures by column, a row for each setting; only columns that some have."""
    rows: list[Figures] = []
    for setting in settings:
        base = _of(diagnoses, setting)
        row = {"baseline_class": base.name, **_figures(base)} if base else {}
        rows.append({key: value for key, value in row.items() if value is not None})
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def answer(base: Baseline) -> str:
    """Return the constant answer of a classifier, in words: always answering 'no'."""
    return f"always answering {name(base)}"


def name(base: Baseline) -> str:
    """Return what the most frequent class is called."""
    if base.name is None:
        return f"class {base.majority}, counted from 0"
    return literal(show(base.name))


def constant_loss(diagnoses: Diagnoses, setting: Setting) -> float | None:
    """Return the training loss of the best constant prediction, to six digits: float32 will do."""
    base = _of(diagnoses, setting)
    return float(f"{base.train_loss:.6g}") if base and base.train_loss is not None else None


def _of(diagnoses: Diagnoses, setting: Setting) -> Baseline | None:
    theory = diagnoses.theory
    facts = theory.of(diagnoses.run.names, setting.values) if theory else None
    return facts.baseline if facts else None


def _figures(base: Baseline) -> Figures:
    return {
        "baseline_train_accuracy": base.train_share,
        "baseline_test_accuracy": base.test_share,
        "baseline_train_balanced_accuracy": base.train_recall,
        "baseline_test_balanced_accuracy": base.test_recall,
        "baseline_train_loss": base.train_loss,
        "baseline_test_loss": base.test_loss,
    }


def _reached(base: Baseline) -> str:
    """Return the figures in words."""
    said = []
    if base.train_share is not None:
        shares = (("train", base.train_share), ("test", base.test_share))
        figures = [
            f"{part} accuracy {rounded(share)}" for part, share in shares if share is not None
        ]
        figures += _recalls(base)
        said.append(f"{answer(base)} has {', '.join(figures)}")
    losses = (("train", base.train_loss), ("test", base.test_loss))
    if any(loss is not None for _, loss in losses):
        listed = [f"{part} loss {rounded(loss)}" for part, loss in losses if loss is not None]
        said.append(f"the best constant prediction has {', '.join(listed)}")
    return "; ".join(said)


def _recalls(base: Baseline) -> list[str]:
    """Return the balanced accuracy, of both parts at once where it is one."""
    if base.train_recall is None:
        return []
    if base.test_recall is None or base.test_recall == base.train_recall:
        return [f"balanced accuracy {rounded(base.train_recall)}"]
    recalls = (("train", base.train_recall), ("test", base.test_recall))
    return [f"{part} balanced accuracy {rounded(recall)}" for part, recall in recalls]


def _no_better(base: Baseline, those: Sequence[tuple[Setting, str]]) -> Iterator[str]:
    """Yield a line on the settings that are no better than the constant, by the same parts."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for setting, label in those:
        parts = tuple(part for part in PARTS if _is_no_better(base, setting, part))
        if parts:
            groups.setdefault(parts, []).append(label)
    for parts, labels in groups.items():
        one = len(labels) == 1
        if base.majority is not None:
            no_better = f"{'is' if one else 'are'} no better than {answer(base)}"
        else:
            no_better = (
                f"{'has' if one else 'have'} no lower loss than the best constant prediction"
            )
        where = "both parts" if len(parts) == 2 else f"the {_PART[parts[0]]} part"
        yield f"{_listed(labels)} {no_better}, on {where}."


def _is_no_better(base: Baseline, setting: Setting, part: str) -> bool:
    """Return whether the medians at the best rate are no better than the constant on a part."""
    best = setting.best
    if best is None:
        return False
    if base.majority is None:
        least = base.train_loss if part == "train" else base.test_loss
        loss = best.median if part == "train" else best.test_loss()
        return least is not None and loss is not None and loss >= least
    # Where rare classes are to count, a lower accuracy may be the better answer.
    for measure in ("balanced_accuracy", "accuracy"):
        most = _constant(base, measure, part)
        column = f"{part}_{measure}"
        if most is not None and _has(setting, column):
            reached = best.metric(column)
            return reached is not None and reached <= most + SHARE_ROUNDING
    return False


def _has(setting: Setting, column: str) -> bool:
    return any(trial.final.get(column) is not None for trial in setting.trials)


def _constant(base: Baseline, measure: str, part: str) -> float | None:
    if measure == "accuracy":
        return base.train_share if part == "train" else base.test_share
    return base.train_recall if part == "train" else base.test_recall


def _listed(labels: Sequence[str]) -> str:
    """Return names with commas, and how many more there are."""
    if len(labels) <= NAMED:
        return ", ".join(labels)
    return f"{', '.join(labels[:NAMED])} and {len(labels) - NAMED} more"
