"""The charts of the trials that a reader chooses, and the table of these trials."""

from __future__ import annotations

from gdcli.report.page.run_page import Content, PageRun, PageView


class CurvesSection(PageView):
    """Each metric over the epochs."""

    name = "curves"
    title = "Curves"
    order = 10

    def content(self, run: PageRun) -> Content | None:
        """Return the chart, where a trial has more than one point."""
        curves = run.curves
        if all(len(epochs) < 2 for epochs in curves.epochs.values()):
            return None
        thinned = (
            f"To keep this page small, curves show every {_ordinal(curves.step)} of up to "
            f"{curves.longest} recorded points, the first and the last; all are in curves.csv."
        )
        return Content(figure="The curves in numbers", notes=[thinned] if curves.step > 1 else [])


def _ordinal(step: int) -> str:
    """Return 2nd, 4th, 8th, ..., 32nd, ... of a power of 2."""
    return f"{step}{'nd' if step % 10 == 2 and step % 100 != 12 else 'th'}"


class SensitivitySection(PageView):
    """Each metric at the end against the learning rate."""

    name = "sensitivity"
    title = "Sensitivity"
    heading = "Sensitivity to the learning rate"
    order = 20

    def content(self, run: PageRun) -> Content | None:
        """Return the chart, where there is more than one learning rate."""
        several = len({trial.lr for trial in run.source.run.trials}) > 1
        return Content(figure="The sensitivity in numbers") if several else None


class HeatMapSection(PageView):
    """Each metric at the end over two options."""

    name = "heatmap"
    title = "Heat map"
    order = 30

    def content(self, run: PageRun) -> Content | None:
        """Return the chart, where something besides the seed differs between trials."""
        if not set(run.facets) - {"seed"}:
            return None
        axes = {"across": "Across", "down": "Down"}
        return Content(selects=axes, figure="The heat map in numbers")


class TrialsSection(PageView):
    """The trials as a table that sorts and finds."""

    name = "trials"
    title = "Trials"
    order = 90

    def content(self, run: PageRun) -> Content:
        """Return the table, which the view's script fills."""
        del run
        return Content()
