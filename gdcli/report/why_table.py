"""Why settings did what they did, as a table that fits a terminal or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.results import settings_of
from gdcli.analysis.theory import Limit
from gdcli.analysis.why import Account, accounts
from gdcli.report.explanation import change
from gdcli.report.labels import apart, namer, short

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.rows import Value

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
    rates = apart(cell.lr for setting in settings for cell in setting.cells)
    cells = [(setting, cell) for setting in settings for cell in setting.cells]
    told = accounts(folder, diagnoses, cells)
    return _saying_something(
        [{"setting": name(a.setting), "lr": rates[a.cell.lr], **_row(a)} for a in told]
    )


def _row(account: Account) -> Row:
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


def _when(account: Account) -> str | None:
    at, since = account.fact("diverged_at"), account.fact("above_start_from")
    if at is not None:
        return f"step {short(at)}"
    return "above its start" if since is not None else None


def _limit(limit: Limit) -> str:
    return short(limit.lr) + ("" if limit.exact else " or more")


def _saying_something(rows: Sequence[Row]) -> list[Row]:
    said = [name for name in (rows[0] if rows else ()) if any(r[name] is not None for r in rows)]
    return [{name: row[name] for name in said} for row in rows]
