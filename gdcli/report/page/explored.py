"""What a run's page shows of an exploration in its folder: a data map, and likely label errors."""

from __future__ import annotations

from math import isfinite
from typing import Any

from gdcli.report.page.plain import plain
from gdcli.studies.explore.files import CLASSIFIED, REGIONS, REGRESSED, ExploredRun, ExploredSetting

MOST_POINTS = 30_000  # of all settings together
MOST_EXAMPLES = 3_000  # of one
WORDS = ("method", "optimizer", "schedule")  # settings that say themselves what they are


def explored_content(found: ExploredRun) -> dict[str, Any]:
    """Return the maps for the page's script, the setting of the lowest loss first."""
    names = _names(found)
    most = min(MOST_EXAMPLES, MOST_POINTS // max(1, len(found.settings)))
    return {
        "classified": found.classified,
        "counted": found.counted.replace("_", " "),
        "regions": list(REGIONS),
        "settings": [
            {"name": name, "total": len(setting.examples), **_setting(setting, most)}
            for name, setting in zip(names, found.settings, strict=True)
        ],
    }


def table_columns(found: ExploredRun) -> list[str]:
    """Return the columns of the table of settings that say something."""
    return [name for name in found.table[0] if any(row[name] is not None for row in found.table)]


def flips_note(found: ExploredRun) -> str:
    """Return the sentence on labels that were made wrong on purpose, or "" where none was."""
    options = found.study.get("options")
    share = options.get("flip_labels", 0) if isinstance(options, dict) else 0
    return (
        f" {share:.3g} of the labels were made wrong." if isinstance(share, float) and share else ""
    )


def _names(found: ExploredRun) -> list[str]:
    columns = list(zip(*(setting.values for setting in found.settings), strict=True))
    several = [len(set(column)) > 1 for column in columns]
    return [
        " ".join(
            value if name in WORDS else f"{name.replace('_', ' ')} {value}"
            for name, value, differs in zip(found.names, setting.values, several, strict=True)
            if differs and value
        )
        or "the only setting"
        for setting in found.settings
    ]


def _setting(setting: ExploredSetting, most: int) -> dict[str, Any]:
    """Return the columns of some examples: what looks wrong, and of the rest an even choice."""
    errors = setting.words.get("likely_error", [])
    total = range(len(setting.examples))
    first = [i for i in total if errors and errors[i] == "True"][: most // 2]
    rest = [i for i in total if i not in set(first)]
    step = -(-len(rest) // max(1, most - len(first))) or 1
    kept = sorted([*first, *rest[::step]])
    measures = CLASSIFIED if errors else REGRESSED
    return {
        "examples": [setting.examples[i] for i in kept],
        **{name: [_plain(setting.measures[name][i]) for i in kept] for name in measures},
        **{name: [cells[i] for i in kept] for name, cells in setting.words.items()},
    }


def _plain(value: float) -> float | str | None:
    return plain(value) if isfinite(value) else None
