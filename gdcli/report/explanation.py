"""A few sentences on what a learning rate did and why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from gdcli.analysis.diagnosis.diagnosis import Diagnosis
from gdcli.analysis.edge import edge_of
from gdcli.analysis.theory import sharpness_formula
from gdcli.analysis.why import Account
from gdcli.report.labels import short


def explanation(account: Account, name: str | None = None) -> str:
    """Return what most trials of a setting did at a learning rate, why, and advice.

    `name` is what the learning rate is called.
    """
    lr = f"lr {short(account.cell.lr)}" if name is None else name
    said = account.typical
    if said is None:
        message = next(trial.message for trial in account.cell.trials if trial.status == "failed")
        return f"{lr} failed: {message}{_how_many(account)}"
    parts = [f"{lr} {said.phrase}{_how_many(account)}.", _advice(account, said)]
    return " ".join([*filter(None, parts), *_beside_theory(account), *_at_the_edge(account)])


def _advice(account: Account, said: Diagnosis) -> str:
    """Return the advice, less what was tried: of a rate too large, what its row has instead."""
    best, tied = account.setting.best, account.setting.tied
    if said.state == "bouncing" and account.cell is best and said.other_lr == "smaller":
        half = 0.49 * account.cell.lr  # what is advised, but for rounding
        lower = [one for one in account.setting.cells if half <= one.lr < account.cell.lr]
        if lower and lower[0] not in tied:
            higher = f"lr {short(lower[0].lr)} throughout ends higher"
            return f"Use a schedule that lowers the learning rate: {higher}."
    if said.state != "blew up" or not said.advice.startswith(
        ("Use a smaller", "Use a far smaller")
    ):
        return said.advice
    if best is None or best.lr >= account.cell.lr or not all(t.falls for t in best.trials):
        return said.advice
    return f"Use a smaller learning rate, such as {short(best.lr)}."


def _beside_theory(account: Account) -> Iterator[str]:
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
        floor = short(expected.floor.excess)
        yield f"SGD's noise floor at this rate is {floor} above the least loss, in theory."


def change(rate: float) -> str:
    """Return what a step makes of the gradient norm, in percent: 0% only where it is the same."""
    if rate == 1:
        return "0%"
    return f"{100 * (rate - 1):+.3g}%" if rate < 2 else f"x {rate:.4g}"


def _at_the_edge(account: Account) -> Iterator[str]:
    """Yield how near the measured sharpness ended to the edge of stability."""
    found, expected, lr = edge_of(account), account.expected, account.cell.lr
    if found and expected:
        ends = f"{short(lr * found.end)} at the end, {short(lr * found.start)} at the start"
        edge = f"{short(lr * found.edge)}, at sharpness {sharpness_formula(expected.optimizer)}"
        yield f"It is {found.place} the edge of stability: lr x sharpness is {ends};"
        yield f"the edge is {edge} = {short(found.edge)}."


def _how_many(account: Account) -> str:
    """Return how many of several seeds did so, whose figures are told, and what the others did."""
    (_, first), *others = account.groups
    total = len(account.cell.trials)
    if total == 1:
        return ""
    told = [f"all {total} seeds" if len(first) == total else f"{len(first)} of {total} seeds"]
    if len(first) > 1 and account.typical:
        told.append(f"figures of seed {short(account.example.seed)}")
    told += [f"{len(trials)}: {', '.join(filter(None, words))}" for words, trials in others]
    return f" ({'; '.join(told)})"
