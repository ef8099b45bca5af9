"""What is printed of why settings did what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.edge import edge_of
from gdcli.analysis.results import settings_of
from gdcli.analysis.verdict import WORDS
from gdcli.analysis.why import Account, accounts
from gdcli.report.console import literal
from gdcli.report.explanation import explanation

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.facts import Theory
    from gdcli.analysis.results import Cell, Setting
    from gdcli.analysis.rows import Value
    from gdcli.analysis.trials import Trials

MOST_SETTINGS = 10  # whose reasons are told below the results


Row: TypeAlias = "Mapping[str, Value]"


def why_rows(folder: Path, run: Trials, theory: Theory) -> list[Row]:
    """Return one row a setting and learning rate: its verdicts, their figures and theory's.

    Figures are medians over the trials with the most frequent verdict. limit_is exact or
    sufficient, floor_is exact or the leading order in the learning rate.
    """
    cells = [(setting, cell) for setting in settings_of(run.trials) for cell in setting.cells]
    return [_row(account) for account in accounts(folder, run.names, cells, theory)]


def _row(account: Account) -> Row:
    expected, counts = account.expected, account.verdicts
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    facts, edge = account.facts, edge_of(account)
    curvature = facts.curvature if facts else None
    causes = sorted({trial.diverged_by for trial in account.cell.ran} - {""})
    return {
        **account.given,
        "lr": account.cell.lr,
        "seeds": len(account.cell.trials),
        "verdict": account.word or None,
        **{word: counts[word] for word in (*WORDS, "failed")},
        "epochs_left": account.figure("epochs_left"),
        "overshoots": account.figure("overshoots"),
        "largest_overshoot": account.figure("largest_overshoot"),
        "diverged_at": account.figure("diverged_at"),
        "diverged_by": " ".join(causes) or None,
        "largest_curvature": curvature.largest if curvature else None,
        "smallest_curvature": curvature.smallest if curvature else None,
        "limit": limit.lr if limit else None,
        "limit_is": ("exact" if limit.exact else "sufficient") if limit else None,
        "initial_sharpness": account.figure("initial_sharpness"),
        "late_sharpness": account.sharpness,
        "stable_sharpness": edge.edge if edge else None,
        "predicted_rate": expected.rate if expected else None,
        "measured_rate": account.rate,
        "predicted_floor": floor.excess if floor else None,
        "floor_is": ("exact" if floor.exact else "leading order") if floor else None,
        "measured_floor": account.excess,
        "explanation": explanation(account),
    }


def why_lines(
    folder: Path,
    run: Trials,
    settings: Sequence[Setting],
    labels: Sequence[str],
    theory: Theory,
) -> list[str]:
    """Return a line on each setting's best learning rate and on the least at which it diverged."""
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    chosen = sorted(ranked[:MOST_SETTINGS])
    cells = [(settings[place], cell) for place in chosen for cell in notable(settings[place])]
    told = accounts(folder, run.names, cells, theory)
    names = {id(setting): label for setting, label in zip(settings, labels, strict=True)}
    lines = [f"{names[id(a.setting)]}: {literal(explanation(a))}" for a in told]
    if len(settings) > len(chosen):
        lines.append(f"the other {len(settings) - len(chosen)} settings: --view why")
    return lines


def notable(setting: Setting) -> list[Cell]:
    """Return the best learning rate and the least at which most seeds diverged."""
    edge = next((c for c in setting.cells if 2 * _lost(c) > len(c.ran)), None)
    return [cell for cell in (setting.best, edge) if cell is not None]


def _lost(cell: Cell) -> int:
    return sum(trial.verdict == "diverged" for trial in cell.ran)
