"""One line on what a learning rate did, and why: `lr 0.5 diverged at step 7: 0.5 > 2/L = 0.31`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite, isinf

from gdcli.analysis.edge import edge_of
from gdcli.analysis.theory import limit_formula, sharpness_formula
from gdcli.analysis.why import Account
from gdcli.report.labels import short

PLAIN = {"stalled": "stalled: its loss is flat, and not at a goal"}
CAUSES = {"nan": "NaN", "overflow": "overflow", "growth": "growth"}


def explanation(account: Account) -> str:
    """Return what most trials of a setting did at a learning rate, and what theory says of it."""
    tell = TELL.get(account.word)
    did = tell(account) if tell else PLAIN.get(account.word, "has no verdict")
    said = "; ".join([did, *_beside_theory(account), *_at_the_edge(account)])
    return f"lr {short(account.cell.lr)} {said}{_how_many(account)}"


def _diverged(account: Account) -> str:
    at, causes = account.figure("diverged_at"), {t.diverged_by for t in account.of_the_word()}
    step = f" at step {short(at)}" if at is not None else ""
    causes_said = [word for key, word in CAUSES.items() if key in causes]
    limit = _limit(account)
    cause = f" ({', '.join(causes_said)})" if causes_said else ""
    return f"diverged{step}{cause}{': ' if limit else ''}{limit}"


def _limit(account: Account) -> str:
    """Return the learning rate beside its limit, "" where there is none."""
    expected = account.expected
    if expected is None or expected.limit is None:
        return ""
    lr, limit = account.cell.lr, expected.limit
    sign = ">" if lr > limit.lr else "<="
    said = f"{short(lr)} {sign} {limit_formula(expected.optimizer)} = {short(limit.lr)}"
    if limit.exact:
        return said
    # Of a Hessian that is only bounded, descent may well converge above the limit.
    return f"{said}, up to which convergence is certain; above, theory leaves it open"


def _oscillating(account: Account) -> str:
    times, height = account.figure("overshoots"), account.figure("largest_overshoot")
    rises = "1 overshoot," if times == 1 else f"{short(times)} overshoots, the largest"
    return f"oscillates: {rises} {short(height)} of the fall" if times else "oscillates"


def _slow(account: Account) -> str:
    left = account.figure("epochs_left")
    if left is None:
        return "is slow: its loss still falls"
    if isinf(left):
        return "is slow, and its target is at the minimum or below"
    return f"is slow: about {float(f'{left:.3g}'):g} epochs more to its goal"


def _converged(account: Account) -> str:
    steps = account.figure("steps_to_target")
    return f"converged, at its target after {short(steps)} steps" if steps else "converged"


def _failed(account: Account) -> str:
    return f"failed: {account.cell.trials[0].message}"


TELL: dict[str, Callable[[Account], str]] = {
    "diverged": _diverged,
    "oscillating": _oscillating,
    "slow": _slow,
    "converged": _converged,
    "failed": _failed,
}


def _beside_theory(account: Account) -> Iterator[str]:
    """Yield the rate and the floor that theory expects beside those that were measured."""
    expected = account.expected
    if expected is None or account.word in ("diverged", "failed"):
        return
    if expected.rate is not None:
        measured = f"{account.rate:.6g} measured, " if account.rate is not None else ""
        yield f"rate a step {measured}{expected.rate:.6g} in theory in the long run"
    if expected.floor is not None and isfinite(expected.floor.excess):
        about = "" if expected.floor.exact else "about "
        measured = f"{short(account.excess)} measured, " if account.excess is not None else ""
        yield f"noise floor {measured}{about}{short(expected.floor.excess)} in theory"


def _at_the_edge(account: Account) -> Iterator[str]:
    """Yield how near the measured sharpness ended to the edge of stability."""
    found, expected, lr = edge_of(account), account.expected, account.cell.lr
    if found and expected:
        ends = f"{short(lr * found.end)} at the end, from {short(lr * found.start)} at the start"
        edge = f"{short(lr * found.edge)}, at sharpness {sharpness_formula(expected.optimizer)}"
        yield f"{found.place} the edge of stability: lr x sharpness = {ends}"
        yield f"the edge is {edge} = {short(found.edge)}"


def _how_many(account: Account) -> str:
    """Return how many of the seeds did so, "" where all did."""
    count, total = account.verdicts[account.word], len(account.cell.trials)
    return f" ({count} of {total} seeds)" if count < total else ""
