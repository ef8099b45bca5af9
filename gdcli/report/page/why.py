"""The part of the page that says why settings did what they did."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.facts import Theory
from gdcli.report.page import parts
from gdcli.report.page.own import own
from gdcli.report.pictures.source import Source
from gdcli.report.why import why_lines
from gdcli.report.why_table import WHY_NOTES, why_table

MOST_CELLS = 300  # settings times learning rates, in the table


def why_section(source: Source, theory: Theory | None) -> str:
    """Return the section: a line a notable learning rate, and a table of all of them."""
    diagnoses = Diagnoses(source.run, theory)
    settings, labels = source.settings, list(map(source.name, source.settings))
    lines = why_lines(source.folder, diagnoses, settings, labels)
    fields = {"lines": parts.listed(lines), "table": _table(source, diagnoses), "notes": _notes()}
    return Template(own("why.html")).substitute(fields)


def _table(source: Source, diagnoses: Diagnoses) -> str:
    cells = sum(len(setting.cells) for setting in source.settings)
    if cells > MOST_CELLS:
        more = f"gdcli show prints all {cells} rows with --view why: they are too many for a page."
        return f"<p class='note'>{more}</p>"
    rows = why_table(source.folder, diagnoses)
    return parts.table(list(rows[0]), rows)


def _notes() -> str:
    """Return what the columns mean, without what is said of the command line."""
    said: Sequence[str] = [line.strip() for line in WHY_NOTES if "--" not in line]
    return f"<p class='note'>{parts.text(' '.join(said))}</p>"
