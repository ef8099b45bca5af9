"""Why learning rates did what they did: in sentences, with advice, and as a table."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import TIED, Candidate, Setting, settings_of
from gdcli.analysis.diagnoses import (
    WORDS,
    CurveComparison,
    RateDiagnosis,
    edge_of_stability,
    rate_diagnoses,
    rate_diagnosis,
)
from gdcli.analysis.diagnosis.verdict import OWN_STEPS, qualities, states
from gdcli.analysis.diagnosis.verdicts.qualities import AtItsNoiseFloor
from gdcli.analysis.diagnosis.verdicts.states import MORE_OR_LARGER, NEAR_LIMIT
from gdcli.analysis.theory import sharpness_formula
from gdcli.fields import counted
from gdcli.numbers import distinct_labels, rounded
from gdcli.report.console import literal
from gdcli.report.text_tables import namer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.diagnosis.diagnosis import Diagnosis
    from gdcli.analysis.theory import Limit
    from gdcli.runs.csv_read import Value

Row: TypeAlias = "Mapping[str, Value]"
MEANINGS = {
    "state": "state, what: what most seeds do",
    "limit": "limit: largest stable learning rate; 'or more': a safe lower bound of it",
    "step": "step: measured change of the gradient norm in a step",
    "theory": "theory: change of the gradient norm in a step, in the long run, in theory",
    "floor": "floor: how far above the least loss SGD stays, measured",
    "theory_floor": "theory floor: how far above the least loss SGD stays, in theory",
}
MORE = "in sentences: --view results; all sentences and figures: --format csv"
SOONER = 1.5  # times, that are worth a word
MOST_SETTINGS = 10  # whose reasons are printed


def why_lines(
    folder: Path, diagnoses: Diagnoses, settings: Sequence[Setting], labels: Sequence[str]
) -> list[str]:
    """Return a line on each setting's best learning rate and on the least at which most blew up.

    curves.csv is read unless it was read for the `lines_comparison`.
    """
    chosen = _chosen(settings)
    told = rate_diagnoses(folder, diagnoses, _told(chosen))
    names = {id(setting): label for setting, label in zip(settings, labels, strict=True)}
    rates = {id(one): distinct_labels(c.lr for c in one.candidates) for one in chosen}
    lines = [f"{names[id(a.setting)]}: {_sentences(a, rates[id(a.setting)])}" for a in told]
    if len(settings) > len(chosen):
        more = counted(len(settings) - len(chosen), "more setting", "more settings")
        lines.append(f"{more}: --view why --format csv, in the column explanation")
    return lines


def lines_comparison(diagnoses: Diagnoses, settings: Sequence[Setting]) -> CurveComparison:
    """Return what the lines on these settings want to know of curves.csv."""
    pairs = _told(_chosen(settings))
    return CurveComparison([rate_diagnosis(diagnoses, *pair) for pair in pairs])


def _chosen(settings: Sequence[Setting]) -> list[Setting]:
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    return [settings[place] for place in sorted(ranked[:MOST_SETTINGS])]


def _told(settings: Sequence[Setting]) -> list[tuple[Setting, Candidate]]:
    return [(setting, candidate) for setting in settings for candidate in notable(setting)]


def notable(setting: Setting) -> list[Candidate]:
    """Return the best learning rate and the least at which most seeds diverged."""
    edge = next((c for c in setting.candidates if 2 * c.diverged > len(c.ran) > 0), None)
    return [candidate for candidate in (setting.best, edge) if candidate is not None]


def _sentences(diagnosis: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return the sentences on a learning rate; `rates` has the labels of all in its row."""
    own = explanation(diagnosis, named(diagnosis, rates))
    return literal(" ".join(filter(None, (ties(diagnosis, rates), own, beyond(diagnosis, rates)))))


def why_rows(folder: Path, diagnoses: Diagnoses) -> list[Row]:
    """Return one row a setting and learning rate: its diagnosis, its figures and theory's.

    Figures are medians over the trials with the most frequent state. limit_is exact or
    sufficient.
    """
    settings = diagnoses.settings
    candidates = [(setting, candidate) for setting in settings for candidate in setting.candidates]
    return [_why_row(diagnosis) for diagnosis in rate_diagnoses(folder, diagnoses, candidates)]


def _why_row(diagnosis: RateDiagnosis) -> Row:
    expected, said = diagnosis.expected, diagnosis.typical
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    facts, edge = diagnosis.facts, edge_of_stability(diagnosis)
    curvature = facts.curvature if facts else None
    causes = sorted(
        {str(trial.facts.get("diverged_by") or "") for trial in diagnosis.candidate.ran}
    )
    coming = said.forecast if said else None
    return {
        **diagnosis.given,
        "lr": diagnosis.candidate.lr,
        "seeds": len(diagnosis.candidate.trials),
        "state": diagnosis.state,
        "quality": said.quality if said else None,
        "qualities": ", ".join(said.qualities) if said else None,
        **{word.replace(" ", "_"): diagnosis.states[word] for word in WORDS},
        "level": said.level if said else None,
        "minimum": facts.minimum if facts else None,
        "gap": said.gap if said else None,
        "steps_to_go_least": coming.least if coming else None,
        "steps_to_go_most": coming.most if coming else None,
        "goal": coming.goal if coming else None,
        "diverged_at": diagnosis.fact("diverged_at"),
        "diverged_by": " ".join(filter(None, causes)) or None,
        "largest_curvature": curvature.largest if curvature else None,
        "smallest_curvature": curvature.smallest if curvature else None,
        "limit": limit.lr if limit else None,
        "limit_is": ("exact" if limit.exact else "sufficient") if limit else None,
        "initial_sharpness": diagnosis.fact("initial_sharpness"),
        "late_sharpness": diagnosis.sharpness,
        "stable_sharpness": edge.edge if edge else None,
        "predicted_rate": expected.rate if expected else None,
        "measured_rate": diagnosis.rate,
        "predicted_floor": floor.excess if floor else None,
        "measured_floor": diagnosis.excess,
        "explanation": explanation(diagnosis),
    }


def why_table(folder: Path, diagnoses: Diagnoses) -> list[Row]:
    """Return one row a setting and learning rate, rounded; columns that say nothing are left out.

    The figures in full, and the explanation, are those of `why_rows`.
    """
    run = diagnoses.run
    settings = settings_of(run.trials)
    name = namer(run.names, settings)
    rates = distinct_labels(
        candidate.lr for setting in settings for candidate in setting.candidates
    )
    candidates = [(setting, candidate) for setting in settings for candidate in setting.candidates]
    told = rate_diagnoses(folder, diagnoses, candidates)
    return _saying_something(
        [{"setting": name(a.setting), "lr": rates[a.candidate.lr], **_table_row(a)} for a in told]
    )


def why_notes(rows: Sequence[Row]) -> list[str]:
    """Return what the columns of a table mean, a line each."""
    return [meaning for name, meaning in MEANINGS.items() if rows and name in rows[0]]


def _table_row(diagnosis: RateDiagnosis) -> Row:
    expected, said = diagnosis.expected, diagnosis.typical
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    count, total = len(diagnosis.of_the_state()), len(diagnosis.candidate.trials)
    return {
        "state": f"{diagnosis.state} {count}/{total}" if count < total else diagnosis.state,
        "what": (said.quality if said else None) or _when(diagnosis),
        "limit": _limit(limit) if limit else None,
        "step": change(diagnosis.rate) if diagnosis.rate is not None else None,
        "theory": change(expected.rate) if expected and expected.rate is not None else None,
        "sharpness": diagnosis.sharpness,
        "floor": diagnosis.excess,
        "theory_floor": floor.excess if floor else None,
    }


def _when(diagnosis: RateDiagnosis) -> str | None:
    at, since = diagnosis.fact("diverged_at"), diagnosis.fact("above_start_from")
    if at is not None:
        return f"step {rounded(at)}"
    return "above its start" if since is not None else None


def _limit(limit: Limit) -> str:
    return rounded(limit.lr) + ("" if limit.exact else " or more")


def _saying_something(rows: Sequence[Row]) -> list[Row]:
    said = [name for name in (rows[0] if rows else ()) if any(r[name] is not None for r in rows)]
    return [{name: row[name] for name in said} for row in rows]


def explanation(diagnosis: RateDiagnosis, name: str | None = None) -> str:
    """Return what most trials of a setting did at a learning rate, why, and advice.

    `name` is what the learning rate is called.
    """
    lr = f"lr {rounded(diagnosis.candidate.lr)}" if name is None else name
    said = diagnosis.typical
    if said is None:
        message = next(
            trial.message for trial in diagnosis.candidate.trials if trial.status == "failed"
        )
        return f"{lr} failed: {message}{_how_many(diagnosis)}"
    parts = [f"{lr} {said.phrase}{_how_many(diagnosis)}.", _advice(diagnosis, said)]
    return " ".join([*filter(None, parts), *_beside_theory(diagnosis), *_at_the_edge(diagnosis)])


def _advice(diagnosis: RateDiagnosis, said: Diagnosis) -> str:
    """Return the advice; instead of a rate that was tried, a better one of the same row."""
    best, tied = diagnosis.setting.best, diagnosis.setting.tied
    swings = states()[diagnosis.state].swings
    if swings and diagnosis.candidate is best and said.other_lr == "smaller":
        half = 0.49 * diagnosis.candidate.lr  # what is advised, before rounding
        lower = [
            one for one in diagnosis.setting.candidates if half <= one.lr < diagnosis.candidate.lr
        ]
        if lower and lower[0] not in tied:
            higher = f"a constant lr of {rounded(lower[0].lr)} ends higher"
            return f"Use a schedule that lowers the learning rate: {higher}."
    more = MORE_OR_LARGER, MORE_OR_LARGER.replace("epochs", "steps")
    if said.advice in more and any(c.lr > diagnosis.candidate.lr for c in tied):
        return f"{said.advice.partition(',')[0]}."  # larger ones end as low
    if not diagnosis.lost or not said.advice.startswith(("Use a smaller", "Use a far smaller")):
        return said.advice
    if best is None or best.lr >= diagnosis.candidate.lr or not all(t.falls for t in best.trials):
        return said.advice
    return f"Use a smaller learning rate, such as {rounded(best.lr)}."


def _beside_theory(diagnosis: RateDiagnosis) -> Iterator[str]:
    """Yield the rate and the floor that theory expects beside those that were measured."""
    expected = diagnosis.expected
    if expected is None or diagnosis.lost:
        return
    if expected.rate is not None and diagnosis.rate is not None:
        now, later = change(diagnosis.rate), change(expected.rate)
        long = f"theory says {later} in the long run"
        yield f"Each step now changes the gradient norm by {now}; {long}."
    said = diagnosis.typical
    told = said is not None and AtItsNoiseFloor.word in said.qualities
    if expected.floor is not None and isfinite(expected.floor.excess) and not told:
        floor = rounded(expected.floor.excess)
        yield f"In theory the noise of SGD keeps the loss {floor} above the least at this rate."


def _at_the_edge(diagnosis: RateDiagnosis) -> Iterator[str]:
    """Yield how near the measured sharpness ended to the edge of stability."""
    found, expected, lr = edge_of_stability(diagnosis), diagnosis.expected, diagnosis.candidate.lr
    if found and expected:
        late = f"{rounded(lr * found.end)} on average over the last quarter"
        ends = f"{rounded(lr * found.start)} at the start and {late}"
        formula = sharpness_formula(expected.optimizer)
        yield f"It is {found.place} the edge of stability: lr x sharpness is {ends}."
        edge = f"{rounded(lr * found.edge)}: sharpness {formula} = {rounded(found.edge)}"
        yield f"The edge is {edge}."


def _how_many(diagnosis: RateDiagnosis) -> str:
    """Return how many seeds did so, which seed the figures are of, and what the others did."""
    (_, first), *others = diagnosis.groups
    total = len(diagnosis.candidate.trials)
    if total == 1:
        return ""
    told = [f"all {total} seeds" if len(first) == total else f"{len(first)} of {total} seeds"]
    if len(first) > 1 and diagnosis.typical:
        told.append(f"the figures are of seed {rounded(diagnosis.example.seed)}")
    for words, trials in others:
        told.append(f"{counted(len(trials), 'seed', 'seeds')}: {', '.join(filter(None, words))}")
    return f" ({'; '.join(told)})"


def change(rate: float) -> str:
    """Return what a step makes of the gradient norm, in percent: 0% only where it is the same."""
    if rate == 1:
        return "0%"
    return f"{100 * (rate - 1):+.3g}%" if rate < 2 else f"x {rate:.4g}"


def named(diagnosis: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return what a learning rate is called at the head of a sentence: "the best lr, 0.1,"."""
    setting, lr = diagnosis.setting, diagnosis.candidate.lr
    alone = (
        diagnosis.candidate is setting.best
        and len(setting.candidates) > 1
        and len(setting.tied) == 1
    )
    return f"the best lr, {rates[lr]}," if alone else f"lr {rates[lr]}"


def ties(diagnosis: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return a sentence on the rates that end as low as the best one; "": there are none."""
    tied, best = diagnosis.setting.tied, diagnosis.setting.best
    if best is None or diagnosis.candidate is not best or len(tied) < 2:
        return ""
    names = [rates[candidate.lr] for candidate in tied]
    both = "both" if len(tied) == 2 else "all"
    where = f"end as low, within {TIED:.2%} of the fall"
    listed = f"lr {', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} {both} {where}{_sooner(best, tied, rates[best.lr])}."


def _sooner(best: Candidate, tied: tuple[Candidate, ...], name: str) -> str:
    slowest = max(candidate.fallen for candidate in tied)
    factor = slowest / best.fallen if isfinite(slowest) and best.fallen > 0 else 1.0
    return f"; {name} gets there {factor:.2g} times sooner" if factor > SOONER else ""


def beyond(diagnosis: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return advice on where to look for a better rate than the best of a row, where it ends it."""
    candidates, said, lr = diagnosis.setting.candidates, diagnosis.typical, diagnosis.candidate.lr
    if diagnosis.candidate is not diagnosis.setting.best or len(candidates) < 2 or said is None:
        return ""
    state = states()[diagnosis.state]
    quality = qualities()[said.quality] if said.quality else None
    own_steps = str(diagnosis.given["optimizer"]).partition("+")[0] in OWN_STEPS
    if state.reached or own_steps or (state.rests and quality and quality.final):
        return ""
    if said.other_lr == "larger" and lr < candidates[-1].lr:
        return _between(diagnosis, rates)
    if lr == candidates[0].lr:
        return f"No lr below {rates[lr]} was tried: try smaller ones, too."
    exact = _exact_limit(diagnosis)
    far = exact is None or lr < NEAR_LIMIT * exact
    large = said.other_lr == "smaller" or state.smaller_rate or (quality and quality.smaller_rate)
    if lr < candidates[-1].lr or not far or large or len(diagnosis.setting.tied) > 1:
        return ""
    below = f", below the limit {rounded(exact)}" if exact is not None else ""
    return f"No lr above {rates[lr]} was tried: try larger ones{below}."


def _between(diagnosis: RateDiagnosis, rates: Mapping[float, str]) -> str:
    """Return advice for a rate that is too small, though the next one tried ends no lower."""
    tied, tried = (
        diagnosis.setting.tied,
        [candidate.lr for candidate in diagnosis.setting.candidates],
    )
    lr = max(candidate.lr for candidate in (diagnosis.candidate, *tied))
    if lr == tried[-1]:
        alone = f"No lr above {rates[lr]} was tried: try larger ones."
        return alone if len(tied) < 2 else ""  # larger ones end as low
    above, exact = tried[tried.index(lr) + 1], _exact_limit(diagnosis)
    bounded = exact is not None and lr < exact < above
    end = f"the limit {rounded(exact)}" if bounded else rates[above]
    return f"No lr between {rates[lr]} and {end} was tried: try some there."


def _exact_limit(diagnosis: RateDiagnosis) -> float | None:
    limit = diagnosis.expected.limit if diagnosis.expected else None
    return limit.lr if limit and limit.exact else None
