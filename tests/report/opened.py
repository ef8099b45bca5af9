"""A page that is open in a browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Opened:
    """A page that is open, offline; `complaints` are errors, warnings and requests of its own."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.complaints.append(request.url))
        self.page.goto(file.as_uri())
        assert self.complaints.pop(0) == file.as_uri()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def drawn(self, plot: str) -> bool:
        """Return whether an element shows more than one colour."""
        shot = self.page.locator(plot).screenshot()
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        colours = image.getcolors(image.width * image.height) or []
        largest = max(count for count, _ in colours)
        return len(colours) > 50 and largest < 0.99 * image.width * image.height

    def column(self, name: str) -> list[str]:
        """Return a column of the table of trials."""
        names = self.texts("#table th button")
        return self.texts(f"#table tbody td:nth-child({names.index(name) + 1})")

    def lines(self) -> list[str]:
        """Return the names of the lines of the curves, each once."""
        names: list[str] = self.page.evaluate(
            "[...new Set(plots.get('curves').chart.panels.flatMap((panel) => panel.layers)"
            ".filter((layer) => layer.kind === 'line').map((layer) => layer.name))]"
        )
        return names

    def point(self, plot: str, layer: str, place: int = 0) -> tuple[float, float]:
        """Return where a point of a layer, which has this name, is on the screen."""
        x, y = self.page.evaluate(
            "([plot, name, place]) => { const panels = plots.get(plot).panels;"
            " const panel = panels.find((one) => one.hits.some((hit) => hit.layer.name === name));"
            " const hit = panel.hits.filter((one) => one.layer.name === name)[place];"
            " panel.canvas.scrollIntoView({block: 'center'});"
            " const box = panel.canvas.getBoundingClientRect();"
            " const factor = box.width / panel.canvas.viewBox.baseVal.width;"
            " return [box.x + factor * hit.at[0], box.y + factor * hit.at[1]]; }",
            [plot, layer, place],
        )
        return x, y


Opens: TypeAlias = Callable[[Path], Opened]
