"""The frame of a plot: where a point lies in it, and the axes to its left and below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import log10
from typing import Protocol, TypeAlias

from rich.text import Text

from gdcli.report.labels import apart
from gdcli.report.scale import rate_ticks, steps, tick_labels

HEIGHT = 16  # rows
DOTS = (2, 4)  # of a character of braille: across, down
WHOLE = {"epoch", "epochs", "step"}  # x axes with whole numbers as ticks
APART = 10  # columns between two ticks of the x axis, at least

Cell: TypeAlias = tuple[str, str]  # a character and its colour


class Upright(Protocol):
    """An upright axis: a `Scale`, or an `Axis` with places for what no scale has room for."""

    def __call__(self, value: float, /) -> float:
        """Return where a value lies, from 0 to 1."""

    def labels(self, most: int, /) -> list[tuple[float, str]]:
        """Return ticks: where they lie, and what they say."""

    def beyond(self, value: float, /) -> bool:
        """Return whether a value has no place of its own."""


@dataclass(frozen=True)
class Frame:
    """A plot of `width` columns with its axes, x from `left` to `right`, y as `scale` says."""

    scale: Upright
    left: float
    right: float
    width: int
    x_label: str
    rates: Sequence[float] = ()  # if any, every x is the logarithm to the base 10 of one of them

    def dot(self, x: float, y: float) -> tuple[int, int]:
        """Return the dot of a point, counted from the lower left corner."""
        return self._across(x), round(self.scale(y) * (DOTS[1] * HEIGHT - 1))

    def _across(self, x: float) -> int:
        span = self.right - self.left
        share = (x - self.left) / span if span else 0.5
        return round(share * (DOTS[0] * self.columns - 1))

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
            HEIGHT - 1 - round(place * last) // DOTS[1]: label
            for place, label in self.scale.labels(HEIGHT // 3)
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
        for x, label in self._ticks():
            column = self._across(x) // DOTS[0]
            start = max(0, min(column, self.columns - len(label)))
            if labels and start <= len(labels):
                continue  # it would run into the last one
            axis[column] = "┬"
            labels = f"{labels:<{start}}{label}"
        foot = f"{'':>{self._gutter}} └{''.join(axis)}", f"{self.x_label:>{self._gutter}}  {labels}"
        return [Text(line) for line in foot]

    def _ticks(self) -> list[tuple[float, str]]:
        """Return the ticks of the x axis, where there is room for them."""
        most = max(1, self.columns // APART)
        if self.rates:
            ticks = rate_ticks(self.rates, most)
            labels = apart([*self.rates, *ticks])
            return [(log10(tick), labels[tick]) for tick in ticks]
        span = self.right - self.left
        if self.x_label in WHOLE and span >= 1:
            most = min(most, int(span))
        found = steps(self.left, self.right, most) or [self.left]
        return list(zip(found, tick_labels(found), strict=True))
