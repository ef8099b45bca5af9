"""Why settings did what they did, as a table that fits a terminal or a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isinf
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.results import settings_of
from gdcli.analysis.theory import Limit
from gdcli.analysis.why import Account, accounts
from gdcli.report.explanation import CAUSES
from gdcli.report.labels import namer, short

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.facts import Theory
    from gdcli.analysis.rows import Value
    from gdcli.analysis.trials import Trials

Row: TypeAlias = "Mapping[str, Value]"

WHY_NOTES = (
    "verdict: of most seeds; rises: over the fall of the loss; limit: the lr up to which descent",
    "  converges, and above which it diverges or, where it says so, may; rate: what a step makes",
    "  of the gradient norm; floor: what SGD leaves of the loss; measured, and as theory has it",
    "in sentences: --view results; every figure in full: --format csv",
)


def why_table(folder: Path, run: Trials, theory: Theory) -> list[Row]:
    """Return one row a setting and learning rate, rounded; columns that say nothing are left out.

    The figures in full, and the explanation, are those of `why_rows`.
    """
    settings = settings_of(run.trials)
    name = namer(run.names, settings)
    cells = [(setting, cell) for setting in settings for cell in setting.cells]
    told = accounts(folder, run.names, cells, theory)
    return _saying_something([{"setting": name(a.setting), **_row(a)} for a in told])


def _row(account: Account) -> Row:
    expected = account.expected
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    count, total = account.verdicts[account.word], len(account.cell.trials)
    return {
        "lr": account.cell.lr,
        "verdict": f"{account.word} {count}/{total}" if count < total else account.word or None,
        "what": _what(account) or None,
        "limit": _limit(limit) if limit else None,
        "rate": account.rate,
        "theory_rate": expected.rate if expected else None,
        "floor": account.excess,
        "theory_floor": floor.excess if floor else None,
    }


def _limit(limit: Limit) -> str:
    return short(limit.lr) + ("" if limit.exact else " or more")


def _what(account: Account) -> str:
    """Return what there is to know of a verdict in two or three words."""
    return WHAT[account.word](account) if account.word in WHAT else ""


def _diverged(account: Account) -> str:
    at, causes = account.figure("diverged_at"), {t.diverged_by for t in account.of_the_word()}
    step = [f"step {short(at)}"] if at is not None else []
    return ", ".join([*step, *(word for key, word in CAUSES.items() if key in causes)])


def _slow(account: Account) -> str:
    left = account.figure("epochs_left")
    if left is None:
        return ""
    return "goal out of reach" if isinf(left) else f"{float(f'{left:.3g}'):g} epochs left"


def _oscillating(account: Account) -> str:
    times, height = account.figure("overshoots"), account.figure("largest_overshoot")
    return f"{short(times)} rises to {height:.2g}" if times and height else ""


def _converged(account: Account) -> str:
    steps = account.figure("steps_to_target")
    return f"in {short(steps)} steps" if steps else ""


WHAT: dict[str, Callable[[Account], str]] = {
    "diverged": _diverged,
    "slow": _slow,
    "oscillating": _oscillating,
    "converged": _converged,
}


def _saying_something(rows: Sequence[Row]) -> list[Row]:
    said = [name for name in (rows[0] if rows else ()) if any(r[name] is not None for r in rows)]
    return [{name: row[name] for name in said} for row in rows]
