"""How a run went: in a sentence, why, and the best learning rate of each setting."""

from __future__ import annotations

from collections import Counter

from gdcli.report.headline import baseline_lines, headline
from gdcli.report.page.run_page import Content, PageRun, PageView
from gdcli.report.results import best_rows
from gdcli.report.why import why_lines, why_notes, why_table

MOST_ROWS = 200  # of the best settings
MOST_MESSAGES = 20
MOST_CELLS = 300  # settings times learning rates, in the table of reasons


BEST = (
    "The best learning rate has the lowest median final training loss over the seeds; diverged and "
    "failed trials are counted over all learning rates."
)


class ResultSection(PageView):
    """The result in a sentence, and what trials failed with."""

    name = "result"
    title = "Result"
    place = "above"
    order = 10

    def content(self, run: PageRun) -> Content:
        """Return the headline, and the messages of failed trials, the most frequent first."""
        source = run.source
        said = headline(run.diagnoses, source.settings, list(map(source.name, source.settings)))
        messages = Counter(t.message for t in source.run.trials if t.status == "failed")
        failed = [f"{n} failed: {text}" for text, n in messages.most_common(MOST_MESSAGES)]
        return Content(text=said, items=failed)


class WhySection(PageView):
    """Why settings did what they did."""

    name = "why"
    title = "Why"
    place = "above"
    order = 20

    def content(self, run: PageRun) -> Content | None:
        """Return a line for each notable learning rate, and a table of all of them."""
        source = run.source
        labels = list(map(source.name, source.settings))
        lines = why_lines(source.folder, run.diagnoses, source.settings, labels)
        cells = sum(len(setting.candidates) for setting in source.settings)
        if cells > MOST_CELLS:
            note = f"A page has no room for all {cells} rows: gdcli show --view why prints them."
            return Content(items=lines, notes=[note])
        rows = why_table(source.folder, run.diagnoses)
        return Content(items=lines, rows=rows, notes=[f"{'; '.join(why_notes(rows))}."])


class BestSection(PageView):
    """The settings, each at its best learning rate."""

    name = "best"
    title = "Best settings"
    heading = "Best learning rate of each setting"
    place = "above"
    order = 30

    def content(self, run: PageRun) -> Content:
        """Return a row for each setting, that with the lowest loss first."""
        source = run.source
        settings = sorted(source.settings, key=lambda setting: setting.median)[:MOST_ROWS]
        labels = list(map(source.name, settings))
        rows = [
            {"setting": label, **{k: v for k, v in row.items() if k not in source.run.names}}
            for label, row in zip(labels, best_rows(run.diagnoses, settings), strict=True)
        ]
        told = [name for name in rows[0] if any(row[name] is not None for row in rows)]
        more = len(source.settings) - len(rows)
        rest = [f"{more} settings with higher losses are not shown."] if more else []
        return Content(
            text=[BEST],
            rows=[{name: row[name] for name in told} for row in rows],
            table=self.heading,
            notes=[*rest, *baseline_lines(run.diagnoses, settings, labels)],
        )
