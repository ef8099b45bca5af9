"""What is printed of why settings did what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.edge import edge_of
from gdcli.analysis.results import settings_of
from gdcli.analysis.why import WORDS, Account, accounts
from gdcli.report.best_rate import beyond, named, ties
from gdcli.report.console import literal
from gdcli.report.explanation import explanation
from gdcli.report.labels import apart

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.results import Cell, Setting
    from gdcli.analysis.rows import Value

MOST_SETTINGS = 10  # whose reasons are told


Row: TypeAlias = "Mapping[str, Value]"


def why_rows(folder: Path, diagnoses: Diagnoses) -> list[Row]:
    """Return one row a setting and learning rate: its diagnosis, its figures and theory's.

    Figures are medians over the trials with the most frequent state. limit_is exact or
    sufficient.
    """
    settings = settings_of(diagnoses.run.trials)
    cells = [(setting, cell) for setting in settings for cell in setting.cells]
    return [_row(account) for account in accounts(folder, diagnoses, cells)]


def _row(account: Account) -> Row:
    expected, said = account.expected, account.typical
    limit, floor = (expected.limit, expected.floor) if expected else (None, None)
    facts, edge = account.facts, edge_of(account)
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
    told = accounts(folder, diagnoses, cells)
    names = {id(setting): label for setting, label in zip(settings, labels, strict=True)}
    rates = {id(settings[place]): apart(c.lr for c in settings[place].cells) for place in chosen}
    lines = [f"{names[id(a.setting)]}: {_sentences(a, rates[id(a.setting)])}" for a in told]
    if len(settings) > len(chosen):
        lines.append(f"the other {len(settings) - len(chosen)} settings: --view why")
    return lines


def _sentences(account: Account, rates: Mapping[float, str]) -> str:
    """Return what is said of a learning rate beside the others of its row, which `rates` writes."""
    own = explanation(account, named(account, rates))
    return literal(" ".join(filter(None, (ties(account, rates), own, beyond(account, rates)))))


def notable(setting: Setting) -> list[Cell]:
    """Return the best learning rate and the least at which most seeds diverged."""
    edge = next((c for c in setting.cells if 2 * c.diverged > len(c.ran) > 0), None)
    return [cell for cell in (setting.best, edge) if cell is not None]
