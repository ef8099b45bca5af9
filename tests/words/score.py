"""How often the words for the stored trials are right."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.analysis.diagnosis.diagnosis import Diagnosis, Forecast, diagnose
from gdcli.analysis.diagnosis.evidence import DescentSettings, Evidence, Known, Observed
from tests.words.truth import MATTERS, Row, falls_on, further, needed, qualities, states

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STORED = Path(__file__).with_name("trials.jsonl.gz")
ENDS = ("at the minimum", "at its noise floor")  # what is never said of what falls on


def stored() -> list[Row]:
    """Return the stored trials."""
    with gzip.open(STORED, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def store(rows: Iterable[Row]) -> int:
    """Write the trials, ten digits a number; return how many."""
    lines = [json.dumps(_rounded(row), separators=(",", ":")) for row in rows]
    STORED.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return len(lines)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return value


def evidence(row: Row) -> Evidence:
    """Return what a diagnosis starts from."""
    seen = {**row["observed"], "levels": tuple(row["observed"]["levels"])}
    return Evidence(Observed(**seen), DescentSettings(**row["descent"]), Known(**row["known"]))


def part(row: Row) -> str:
    """Return whether a trial was looked at while limits were chosen."""
    if row["added"]:
        return "Added when all limits were set"
    return "Held back" if int(row["id"], 16) % 2 == 1 else "Looked at while limits were chosen"


@dataclass
class Score:
    """Counts over some trials."""

    trials: int = 0
    states: Counter[tuple[str, str]] = field(default_factory=Counter)  # (truth, said)
    qualities: Counter[tuple[str, str]] = field(default_factory=Counter)
    right_states: int = 0
    right_qualities: int = 0
    either: int = 0  # trials of which two states are right
    false_ends: list[str] = field(default_factory=list)
    flat: Counter[str] = field(default_factory=Counter)  # by gd, or sgd and minibatch
    false_falls: Counter[str] = field(default_factory=Counter)
    forecasts: int = 0  # that can be checked
    near: int = 0  # within a factor of 2
    wrong: list[str] = field(default_factory=list)


def scored(rows: Sequence[Row]) -> Score:
    """Return the score of some trials."""
    score = Score()
    for row in rows:
        _add(score, row, diagnose(evidence(row)))
    return score


def _add(score: Score, row: Row, said: Diagnosis) -> None:
    right, true = states(row), qualities(row)
    state, quality = said.state or "", said.quality or ""
    score.trials += 1
    score.either += len(right) > 1
    good = state in right
    score.right_states += good
    score.states[state if good else " or ".join(sorted(right)), state] += 1
    found = quality in true if quality else not needed(row)
    score.right_qualities += found
    score.qualities[quality if found else " or ".join(sorted(true)), quality] += 1
    if not good:
        score.wrong.append(f"{state!r} is {sorted(right)}: {row['what']}")
    if not found:
        score.wrong.append(f"{quality!r} is {sorted(true)}: {row['what']}")
    if any(word in ENDS for word in said.qualities) and falls_on(row, MATTERS):
        score.false_ends.append(f"{said.qualities} falls on by {further(row):.2g}: {row['what']}")
    kind = "gd" if row["descent"]["method"] == "gd" else "sgd and minibatch"
    if right == {"flat"}:
        score.flat[kind] += 1
        score.false_falls[kind] += state == "still falling"
    if said.forecast is not None and (error := error_of(said.forecast, row)) is not None:
        score.forecasts += 1
        score.near += 0.5 <= error <= 2
        if not 0.5 <= error <= 2:
            score.wrong.append(f"forecast off by {error:.2g}: {row['what']}")


def error_of(coming: Forecast, row: Row) -> float | None:
    """Return the steps that were needed over those foretold; inf: never there.

    None: the run that is ten times as long ends before.
    """
    name = "reached_target" if coming.target else "reached_near"
    reached, horizon = row["truth"].get(name), row["descent"]["horizon"]
    if coming.most is None:  # more than ten times as many
        return 1.0 if reached is None else (reached - horizon) / coming.least
    if reached is None:
        return None if coming.most > 9 * horizon else float("inf")
    return float((reached - horizon) / sqrt(coming.least * coming.most))


def report(score: Score, name: str) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"{name}: {score.trials} trials"
    yield ""
    yield f"  states right     {_share(score.right_states, score.trials)}"
    yield f"                   of {score.either} trials either of two counts as right"
    yield f"  qualities right  {_share(score.right_qualities, score.trials)}"
    yield f"  said to be at its end, falls on by more than 1%: {len(score.false_ends)}"
    for kind, count in sorted(score.flat.items()):
        wrong = score.false_falls[kind]
        yield f"  flat for ten times as long, called still falling, {kind}: {wrong} of {count}"
    yield f"  forecasts within a factor of 2  {_share(score.near, score.forecasts)}"
    yield ""


def matrix(counts: Counter[tuple[str, str]], title: str) -> Iterator[str]:
    """Yield a confusion matrix as a list: what is true, what was said, how often."""
    yield f"{title}: true, said, trials"
    yield ""
    width = max(len(true) for true, _ in counts)
    for (true, said), count in sorted(counts.items(), key=lambda item: (item[0][1], -item[1])):
        mark = " " if true == said else "x"
        yield f"  {mark} {true or '-':{width}}  {said or '-':24}  {count:4}"
    yield ""


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" + (f" ({100 * count / total:.1f}%)" if total else "")
