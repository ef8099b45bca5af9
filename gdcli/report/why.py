"""What is printed of why settings did what they did.

Why settings did what they did, as a table that fits a terminal or a page.

A few sentences on what a learning rate did and why, and what to do about it.

The best learning rates in sentences: which ends lowest, what ends as low, where to look next.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import TIED, Candidate, Setting, settings_of
from gdcli.analysis.diagnoses import WORDS, RateDiagnosis, edge_of_stability, rate_diagnoses
from gdcli.analysis.theory import sharpness_formula
from gdcli.report.console import literal
from gdcli.report.labels import distinct_labels, namer, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.diagnosis.diagnosis import Diagnosis
    from gdcli.analysis.theory import Limit
    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import Trial


def explanation(account: RateDiagnosis, name: str | None = None) -> str:
    """Return what most trials of a setting did at a learning rate, why, and advice.

    `name` is what the learning rate is called.
    """
    lr = f"lr {rounded(account.cell.lr)}" if name is None else name
    said = account.typical
    if said is None:
        message = next(trial.message for trial in account.cell.trials if trial.status == "failed")
        return f"{lr} failed: {message}{_how_many(account)}"
    parts = [f"{lr} {said.phrase}{_how_many(account)}.", _advice(account, said)]
    return " ".join([*filter(None, parts), *_beside_theory(account), *_at_the_edge(account)])


def _advice(account: RateDiagnosis, said: Diagnosis) -> str:
    """Return the advice, less what was tried: of a rate too large, what its row has instead."""
    best, tied = account.setting.best, account.setting.tied
    if said.state == "bouncing" and account.cell is best and said.other_lr == "smaller":
        half = 0.49 * account.cell.lr  # what is advised, but for rounding
        lower = [one for one in account.setting.cells if half <= one.lr < account.cell.lr]
        if lower and lower[0] not in tied:
            higher = f"lr {rounded(lower[0].lr)} throughout ends higher"
            return f"Use a schedule that lowers the learning rate: {higher}."
    if said.state != "blew up" or not said.advice.startswith(
        ("Use a smaller", "Use a far smaller")
    ):
        return said.advice
    if best is None or best.lr >= account.cell.lr or not all(t.falls for t in best.trials):
        return said.advice
    return f"Use a smaller learning rate, such as {rounded(best.lr)}."


def _beside_theory(account: RateDiagnosis) -> Iterator[str]:
    """Yield the rate and the floor that theory expects beside those that were measured."""
    expected = account.expected
    if expected is None or account.state in ("blew up", "failed"):
        return
    if expected.rate is not None and account.rate is not None:
        now, later = change(account.rate), change(expected.rate)
        yield f"A step now changes the gradient norm by {now}; in the long run {later}, in theory."
    said = account.typical
    told = said is not None and "at its noise floor" in said.qualities
    if expected.floor is not None and isfinite(expected.floor.excess) and not told:
        floor = rounded(expected.floor.excess)
        yield f"SGD's noise floor at this rate is {floor} above the least loss, in theory."


def change(rate: float) -> str:
    """Return what a step makes of the gradient norm, in percent: 0% only where it is the same."""
    if rate == 1:
        return "0%"
    return f"{100 * (rate - 1):+.3g}%" if rate < 2 else f"x {rate:.4g}"


def _at_the_edge(account: RateDiagnosis) -> Iterator[str]:
    """Yield how near the measured sharpness ended to the edge of stability."""
    found, expected, lr = edge_of_stability(account), account.expected, account.cell.lr
    if found and expected:
        ends = f"{rounded(lr * found.end)} at the end, {rounded(lr * found.start)} at the start"
        edge = f"{rounded(lr * found.edge)}, at sharpness {sharpness_formula(expected.optimizer)}"
        yield f"It is {found.place} the edge of stability: lr x sharpness is {ends};"
        yield f"the edge is {edge} = {rounded(found.edge)}."


def _how_many(account: RateDiagnosis) -> str:
    """Return how many of several seeds did so, whose figures are told, and what the others did."""
    (_, first), *others = account.groups
    total = len(account.cell.trials)
    if total == 1:
        return ""
    told = [f"all {total} seeds" if len(first) == total else f"{len(first)} of {total} seeds"]
    if len(first) > 1 and account.typical:
        told.append(f"figures of seed {rounded(account.example.seed)}")
    told += [f"{len(trials)}: {', '.join(filter(None, words))}" for words, trials in others]
    return f" ({'; '.join(told)})"


Row: TypeAlias = "Mapping[str, Value]"

MEANINGS = {
    "state": "state, what: of most seeds",
    "limit": "limit: largest stable learning rate; 'or more': a safe lower bound of it",
    "step": "step: change of the gradient norm in a step, as measured",
    "theory": "theory: change of the gradient norm in a step in the long run, in theory",
    "floor": "floor: how far above the least loss SGD stays, as measured",
    "theory_floor": "theory floor: how far above the least loss SGD stays, in theory",
}
MORE = "in sentences: --view results; every figure in full: --format csv"


def why_notes(rows: Sequence[Row]) -> list[str]:
    """Return what the columns of a table mean, a line each."""
    return [meaning for name, meaning in MEANINGS.items() if rows and name in rows[0]]


def why_table(folder: Path, diagnoses: Diagnoses) -> list[Row]:
    """Return one row a setting and learning rate, rounded; columns that say nothing are left out.

    The figures in full, and the explanation, are those of `why_rows`.
    """
    run = diagnoses.run
    settings = settings_of(run.trials)
    name = namer(run.names, settings)
    rates = distinct_labels(cell.lr for setting in settings for cell in setting.cells)
    cells = [(setting, cell) for setting in settings for cell in setting.cells]
    told = rate_diagnoses(folder, diagnoses, cells)
    return _saying_something(
        [{"setting": name(a.setting), "lr": rates[a.cell.lr], **_table_row(a)} for a in told]
    )


def _table_row(account: RateDiagnosis) -> Row:
    expected, said = account.expected, account.typical
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    count, total = len(account.of_the_state()), len(account.cell.trials)
    return {
        "state": f"{account.state} {count}/{total}" if count < total else account.state,
        "what": (said.quality if said else None) or _when(account),
        "limit": _limit(limit) if limit else None,
        "step": change(account.rate) if account.rate is not None else None,
        "theory": change(expected.rate) if expected and expected.rate is not None else None,
        "sharpness": account.sharpness,
        "floor": account.excess,
        "theory_floor": floor.excess if floor else None,
    }


def _when(account: RateDiagnosis) -> str | None:
    at, since = account.fact("diverged_at"), account.fact("above_start_from")
    if at is not None:
        return f"step {rounded(at)}"
    return "above its start" if since is not None else None


def _limit(limit: Limit) -> str:
    return rounded(limit.lr) + ("" if limit.exact else " or more")


def _saying_something(rows: Sequence[Row]) -> list[Row]:
    said = [name for name in (rows[0] if rows else ()) if any(r[name] is not None for r in rows)]
    return [{name: row[name] for name in said} for row in rows]


DONE = (  # other rates change little
    "at the minimum",
    "at a saddle",
    "never moved",
    "dead",
    "held by weight decay",
    "past its best test loss",
)
TOO_LARGE = ("blew up", "bouncing", "at its noise floor", "above its start")
SOONER = 1.5  # times, that are worth a word
NEAR = 0.9  # of the exact limit: a larger rate is hardly worth a try


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
        if len(first.cells) == 1:
            return [f"{label} at learning rate {_rate(first)} ends at training loss {loss}."]
        return [f"The best learning rate of {label} is {_rate(first)}: training loss {loss}."]
    near = first.median + TIED * max(0.0, _start(first) - first.median)
    tied = [f"{name} at {_rate(one)}" for one, name in ranked[1:] if one.median <= near]
    others = ""
    if tied:
        more = f" and {len(tied) - 3} more" if len(tied) > 3 else ""
        others = f"; as low within {TIED:.2%} of the fall: {', '.join(tied[:3])}{more}"
    return [f"{label} at learning rate {_rate(first)} has the lowest loss: {loss}{others}."]


def _without_result(trials: Sequence[Trial]) -> str:
    """Return what became of the trials of a run in which no learning rate has a median."""
    ends = {trial.status for trial in trials if trial.status != "finished"}
    what = " or ".join(sorted(ends or {"diverged", "failed"}))
    if any(trial.status == "finished" for trial in trials):
        return f"At every learning rate half of the seeds or more {what}."
    return f"The trial {what}." if len(trials) == 1 else f"Every trial {what}."


def _rate(setting: Setting) -> str:
    """Return the best rate, told apart from the others of its row."""
    best = setting.best
    return distinct_labels(cell.lr for cell in setting.cells)[best.lr] if best else "none"


def _start(setting: Setting) -> float:
    """Return the lowest loss that a trial of a setting starts at."""
    starts = (trial.fact("initial_train_loss") for trial in setting.trials)
    return min((start for start in starts if start is not None), default=0.0)


def named(account: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return what a learning rate is called at the head of a sentence: "the best lr, 0.1,"."""
    setting, lr = account.setting, account.cell.lr
    alone = account.cell is setting.best and len(setting.cells) > 1 and len(setting.tied) == 1
    return f"the best lr, {rates[lr]}," if alone else f"lr {rates[lr]}"


def ties(account: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return a sentence on the rates that end as low as the best one; "": there are none."""
    tied, best = account.setting.tied, account.setting.best
    if best is None or account.cell is not best or len(tied) < 2:
        return ""
    names = [rates[cell.lr] for cell in tied]
    both = "both" if len(tied) == 2 else "all"
    said = account.typical
    done = said is not None and said.quality == "at the minimum"
    least = "the" if said is not None and said.gap is not None else "a"  # it may be a local one
    where = f"end at {least} minimum" if done else f"end as low, within {TIED:.2%} of the fall"
    listed = f"lr {', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} {both} {where}{_sooner(best, tied, rates[best.lr])}."


def _sooner(best: Candidate, tied: tuple[Candidate, ...], name: str) -> str:
    slowest = max(cell.fallen for cell in tied)
    factor = slowest / best.fallen if isfinite(slowest) and best.fallen > 0 else 1.0
    return f"; {name} gets there {factor:.2g} times sooner" if factor > SOONER else ""


def beyond(account: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return advice on where to look for a better rate than the best of a row, where it ends it."""
    cells, said, lr = account.setting.cells, account.typical, account.cell.lr
    if account.cell is not account.setting.best or len(cells) < 2 or said is None:
        return ""
    if said.state == "reached its goal" or (said.state == "flat" and said.quality in DONE):
        return ""
    if said.other_lr == "larger" and lr < cells[-1].lr:
        return _between(account, rates)
    if lr == cells[0].lr:
        return f"No lr below {rates[lr]} was tried: try smaller ones, too."
    exact = _exact_limit(account)
    far = exact is None or lr < NEAR * exact
    large = said.other_lr == "smaller" or {said.state, said.quality} & {*TOO_LARGE}
    if lr < cells[-1].lr or not far or large:
        return ""
    below = f", below the limit {rounded(exact)}" if exact is not None else ""
    return f"No lr above {rates[lr]} was tried: try larger ones{below}."


def _between(account: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return advice for a rate that is too small, though the next one tried ends no lower."""
    tied, tried = account.setting.tied, [cell.lr for cell in account.setting.cells]
    lr = max(cell.lr for cell in (account.cell, *tied))
    if lr == tried[-1]:
        return f"No lr above {rates[lr]} was tried: try larger ones."
    above, exact = tried[tried.index(lr) + 1], _exact_limit(account)
    bounded = exact is not None and lr < exact < above
    end = f"the limit {rounded(exact)}" if bounded else rates[above]
    return f"No lr between {rates[lr]} and {end} was tried: try some there."


def _exact_limit(account: RateDiagnosis) -> float | None:
    limit = account.expected.limit if account.expected else None
    return limit.lr if limit and limit.exact else None


MOST_SETTINGS = 10  # whose reasons are told


def why_rows(folder: Path, diagnoses: Diagnoses) -> list[Row]:
    """Return one row a setting and learning rate: its diagnosis, its figures and theory's.

    Figures are medians over the trials with the most frequent state. limit_is exact or
    sufficient.
    """
    settings = settings_of(diagnoses.run.trials)
    cells = [(setting, cell) for setting in settings for cell in setting.cells]
    return [_why_row(account) for account in rate_diagnoses(folder, diagnoses, cells)]


def _why_row(account: RateDiagnosis) -> Row:
    expected, said = account.expected, account.typical
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    facts, edge = account.facts, edge_of_stability(account)
    curvature = facts.curvature if facts else None
    causes = sorted({str(trial.facts.get("diverged_by") or "") for trial in account.cell.ran})
    coming = said.forecast if said else None
    return {
        **account.given,
        "lr": account.cell.lr,
        "seeds": len(account.cell.trials),
        "state": account.state,
        "quality": said.quality if said else None,
        "qualities": ", ".join(said.qualities) if said else None,
        **{word.replace(" ", "_"): account.states[word] for word in WORDS},
        "level": said.level if said else None,
        "minimum": facts.minimum if facts else None,
        "gap": said.gap if said else None,
        "steps_to_go_least": coming.least if coming else None,
        "steps_to_go_most": coming.most if coming else None,
        "goal": coming.goal if coming else None,
        "diverged_at": account.fact("diverged_at"),
        "diverged_by": " ".join(filter(None, causes)) or None,
        "largest_curvature": curvature.largest if curvature else None,
        "smallest_curvature": curvature.smallest if curvature else None,
        "limit": limit.lr if limit else None,
        "limit_is": ("exact" if limit.exact else "sufficient") if limit else None,
        "initial_sharpness": account.fact("initial_sharpness"),
        "late_sharpness": account.sharpness,
        "stable_sharpness": edge.edge if edge else None,
        "predicted_rate": expected.rate if expected else None,
        "measured_rate": account.rate,
        "predicted_floor": floor.excess if floor else None,
        "measured_floor": account.excess,
        "explanation": explanation(account),
    }


def why_lines(
    folder: Path, diagnoses: Diagnoses, settings: Sequence[Setting], labels: Sequence[str]
) -> list[str]:
    """Return a line on each setting's best learning rate and on the least at which most blew up."""
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    chosen = sorted(ranked[:MOST_SETTINGS])
    cells = [(settings[place], cell) for place in chosen for cell in notable(settings[place])]
    told = rate_diagnoses(folder, diagnoses, cells)
    names = {id(setting): label for setting, label in zip(settings, labels, strict=True)}
    rates = {
        id(settings[place]): distinct_labels(c.lr for c in settings[place].cells)
        for place in chosen
    }
    lines = [f"{names[id(a.setting)]}: {_sentences(a, rates[id(a.setting)])}" for a in told]
    if len(settings) > len(chosen):
        lines.append(f"the other {len(settings) - len(chosen)} settings: --view why")
    return lines


def _sentences(account: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return what is said of a learning rate beside the others of its row, which `rates` writes."""
    own = explanation(account, named(account, rates))
    return literal(" ".join(filter(None, (ties(account, rates), own, beyond(account, rates)))))


def notable(setting: Setting) -> list[Candidate]:
    """Return the best learning rate and the least at which most seeds diverged."""
    edge = next((c for c in setting.cells if 2 * c.diverged > len(c.ran) > 0), None)
    return [cell for cell in (setting.best, edge) if cell is not None]
