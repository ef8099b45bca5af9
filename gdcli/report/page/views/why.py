"""The part of the page that says why settings did what they did."""

from __future__ import annotations

from string import Template

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.report.charts.charts import Source
from gdcli.report.page import html
from gdcli.report.page.html import own
from gdcli.report.why import why_lines, why_notes, why_table

MOST_CELLS = 300  # settings times learning rates, in the table


def why_section(source: Source, diagnoses: Diagnoses) -> str:
    """Return the section: a line a notable learning rate, and a table of all of them."""
    settings, labels = source.settings, list(map(source.name, source.settings))
    lines = why_lines(source.folder, diagnoses, settings, labels)
    cells = sum(len(setting.cells) for setting in settings)
    if cells > MOST_CELLS:
        more = f"gdcli show prints all {cells} rows with --view why: they are too many for a page."
        table, notes = f"<p class='note'>{more}</p>", ""
    else:
        rows = why_table(source.folder, diagnoses)
        table = html.table(list(rows[0]), rows)
        notes = f"<p class='note'>{html.text('; '.join(why_notes(rows)))}.</p>"
    fields = {"lines": html.listed(lines), "table": table, "notes": notes}
    return Template(own("why.html")).substitute(fields)
