"""The frame of a plot: where a point lies in it, and the axes to its left and below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeAlias

from rich.text import Text

from gdcli.report.scale import Scale, steps

HEIGHT = 16  # rows
DOTS = (2, 4)  # of a character of braille: across, down
APART = 10  # columns between two ticks of the x axis, at least

Cell: TypeAlias = tuple[str, str]  # a character and its colour


@dataclass(frozen=True)
class Frame:
    """A plot of `width` columns with its axes, x from `left` to `right`, y as `scale` says."""

    scale: Scale
    left: float
    right: float
    width: int
    x_label: str

    def dot(self, x: float, y: float) -> tuple[int, int]:
        """Return the dot of a point, counted from the lower left corner."""
        return self._across(x), round(self.scale(y) * (DOTS[1] * HEIGHT - 1))

    def _across(self, x: float) -> int:
        span = self.right - self.left
        return round((x - self.left) / span * (DOTS[0] * self.columns - 1)) if span else 0

    @cached_property
    def columns(self) -> int:
        """The columns between the axis and the right end."""
        return max(APART, self.width - self._gutter - 2)

    @cached_property
    def _gutter(self) -> int:
        return max(len(label) for label in [self.x_label, *self._labels.values()])

    @cached_property
    def _labels(self) -> dict[int, str]:
        """The labels of the y axis, by row from the top."""
        last = DOTS[1] * HEIGHT - 1
        return {
            HEIGHT - 1 - round(self.scale(tick) * last) // DOTS[1]: f"{tick:.6g}"
            for tick in self.scale.ticks(HEIGHT // 3)
        }

    def lines(self, cells: Sequence[Sequence[Cell]]) -> list[Text]:
        """Return the lines of the plot: rows of cells from the top, framed by the axes."""
        return [*(self._row(row, line) for row, line in enumerate(cells)), *self._foot()]

    def _row(self, row: int, cells: Sequence[Cell]) -> Text:
        label = self._labels.get(row, "")
        line = Text(f"{label:>{self._gutter}} {'┤' if label else '│'}")
        for color, run in groupby(cells, key=lambda cell: cell[1]):
            line.append("".join(char for char, _ in run), color)
        line.rstrip()
        return line

    def _foot(self) -> list[Text]:
        axis, labels = ["─"] * self.columns, ""
        for tick in steps(self.left, self.right, max(1, self.columns // APART)) or [self.left]:
            column = self._across(tick) // DOTS[0]
            axis[column] = "┬"
            start = max(0, min(column, self.columns - len(f"{tick:.6g}")))
            labels = f"{labels:<{start}}{tick:.6g}"
        foot = f"{'':>{self._gutter}} └{''.join(axis)}", f"{self.x_label:>{self._gutter}}  {labels}"
        return [Text(line) for line in foot]
