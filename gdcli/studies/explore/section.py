"""The section of a run's page with what gdcli explore has found of the run's examples."""

from __future__ import annotations

from typing import Any

from gdcli.report.page.content import plain_or_none
from gdcli.report.page.run_page import Content, PageRun, PageView
from gdcli.studies.explore.files import (
    CLASSIFIED,
    REGIONS,
    REGRESSED,
    ExploredRun,
    ExploredSetting,
    in_percent,
    read_explored,
    same_examples,
)

MOST_EXAMPLES = 3_000  # of one setting
MOST_POINTS = 30_000  # of all settings together
WORDS = ("method", "optimizer", "schedule")  # settings that say themselves what they are
OTHER = "The exploration in the run's folder is of another problem or data, and is not shown."
TEXT = (
    "gdcli explore measured every training example after each epoch. Means are over the epochs; "
    "the rank correlation is with the setting of the lowest training loss."
)


class ExploredSection(PageView):
    """What `gdcli explore` has found of a run's examples."""

    name = "explored"
    title = "Examples"
    order = 70

    def content(self, run: PageRun) -> Content | None:
        """Return shares by setting and the data maps, where the run's folder has an exploration."""
        found = read_explored(run.source.folder)
        if found is None:
            return None
        if not same_examples(found.study, run.manifest):
            return Content(notes=[OTHER], scripted=False)
        told = [n for n in found.table[0] if any(row[n] is not None for row in found.table)]
        what = "Likely label errors" if found.classified else "The examples of the highest loss"
        return Content(
            text=[TEXT + _flips(found)],
            rows=[{name: row[name] for name in told} for row in map(in_percent, found.table)],
            table="Shares of the examples by setting",
            selects={"explored-setting": "Examples of"},
            figure=what,
            data=explored_content(found),
        )


def _flips(found: ExploredRun) -> str:
    """Return the sentence on labels that were made wrong on purpose, or "" where none was."""
    options = found.study.get("options")
    share = options.get("flip_labels", 0) if isinstance(options, dict) else 0
    return (
        f" {100 * share:.3g}% of the labels were made wrong."
        if isinstance(share, float) and share
        else ""
    )


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
        **{name: [plain_or_none(setting.measures[name][i]) for i in kept] for name in measures},
        **{name: [cells[i] for i in kept] for name, cells in setting.words.items()},
    }
