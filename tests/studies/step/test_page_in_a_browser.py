"""The page of `gdcli step` in a real Chromium: the steps, and the graph behind its gradient."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.formula import parse
from gdcli.studies.step.descent import descend
from gdcli.studies.step.page import MOST_ROWS, page_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.opened import Opened, Opens


def opened(
    opens: Opens, folder: Path, text: str, lr: float = 0.1, steps: int = 1, **at: float
) -> Opened:
    file = folder / "step.html"
    file.write_bytes(page_bytes(text, descend(parse(text), at, lr, steps), lr))
    return opens(file)


def test_one_step_by_hand(open_page: Opens, tmp_path: Path) -> None:
    page = opened(open_page, tmp_path, "(w - 2)**2", w=5.0)
    assert page.text("h1") == "Gradient descent on (w - 2)**2"
    assert page.text("header p") == "Learning rate 0.1: the loss fell from 9 to 5.76 in 1 step."
    assert page.texts("#steps tbody td") == ["1", "w", "5", "9", "6", "0.6", "4.4"]
    assert page.drawn("#picture-plot")
    assert page.text("#picture-caption") == (
        "The loss over w, and 1 step from a disc to a star: the loss goes from 9 to 5.76."
    )
    assert page.drawn("#graph-plot")
    assert page.page.locator("#graph-plot .node-text").all_text_contents() == [
        "wvalue 5gradient 6",
        "v1 - 2value 3gradient 6",
        "v2 ** 2value 9gradient 1",
    ]
    assert page.texts("#graph > div tbody tr")[0].split("\t") == [
        *("v1", "w", "5", "6", "6 * 1 from v2", "6"),
    ]
    assert "optimizer = torch.optim.SGD([w], lr=0.1)" in page.text("#script code")


def test_every_picture_has_its_text(open_page: Opens, tmp_path: Path) -> None:
    page = opened(open_page, tmp_path, "x*y + x", x=2.0, y=3.0, steps=3)
    for name in ("picture", "graph"):
        plot = page.page.locator(f"#{name}-plot")
        assert plot.get_attribute("role") == "img"
        assert len(page.text(f"#{plot.get_attribute('aria-labelledby')}")) > 40
        page.page.locator(f"#{name} summary").click()
        assert page.page.locator(f"#{name}-numbers tbody tr").count() == 4
    assert page.texts("#graph-numbers tbody tr")[2].split("\t") == ["v3", "v1 * v2", "v1, v2"]
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.className") != ""


def test_two_weights_are_a_map_and_three_a_curve(open_page: Opens, tmp_path: Path) -> None:
    page = opened(open_page, tmp_path, "x**2 + 10*y**2", lr=0.05, steps=12, x=4.0, y=1.0)
    assert page.text("#picture-caption").startswith("The loss over x and y, lighter where it is l")
    assert page.page.locator("#picture-plot .contours path").count() > 10
    assert page.drawn("#picture-plot")
    page = opened(open_page, tmp_path, "x**2 + y**2 + z**2", x=4.0, y=1.0, z=2.0)
    assert page.text("#picture-caption").startswith("The loss over the steps, and 1 step from")
    assert page.drawn("#picture-plot")


@pytest.mark.parametrize(
    ("text", "given", "says"),
    [
        ("(w - 2)**2", {"lr": 1.5, "w": 5.0}, "points far outside."),
        ("(w - 2)**2", {"lr": 1e308, "w": 5.0}, "1 step from a disc to a star: the loss goes"),
        ("0*w + 3", {"w": 1.0}, "the loss goes from 3 to 3."),
        ("log(w) + 1/w", {"lr": 0.01, "w": 0.2}, "and 30 steps from"),
        ("sqrt(x) * y", {"x": 0.01, "y": 1.0}, "to diverged."),
    ],
)
def test_any_descent_is_drawn(
    open_page: Opens, tmp_path: Path, text: str, given: dict[str, Any], says: str
) -> None:
    page = opened(open_page, tmp_path, text, steps=30, **given)
    assert says in page.text("#picture-caption")
    assert page.page.locator("#steps tbody tr").count() > 0


@pytest.mark.parametrize("text", ["x**2*y + sin(x*y) + exp(-x) + y**2", "a*b + b*a + a + b + a*a"])
def test_no_way_of_the_graph_runs_through_a_node(
    open_page: Opens, tmp_path: Path, text: str
) -> None:
    weights: dict[str, Any] = dict.fromkeys(parse(text).variables, 1.5)
    page = opened(open_page, tmp_path, text, **weights)
    script = (
        "(() => { const ways = document.querySelector('.graph-ways');"
        " const boxes = [...document.querySelectorAll('.node rect')].map((one) => one.getBBox());"
        " const inside = ({x, y}, box) => x > box.x + 1 && x < box.x + box.width - 1"
        "  && y > box.y + 1 && y < box.y + box.height - 1;"
        " let count = 0; const whole = ways.getTotalLength();"
        " for (let at = 0; at < whole; at += 1)"
        "  if (boxes.some((box) => inside(ways.getPointAtLength(at), box))) count += 1;"
        " return [count, boxes.length, whole]; })()"
    )
    crossed, nodes, length = page.page.evaluate(script)
    assert crossed == 0
    assert nodes > 6
    assert length > 1000


def test_the_page_is_small() -> None:
    descent = descend(parse("x**2 + 10*y**2"), {"x": 4.0, "y": 1.0}, 0.05, 12)
    assert len(page_bytes("x**2 + 10*y**2", descent, 0.05)) < 300_000


def test_of_many_steps_the_first_are_in_the_table(open_page: Opens, tmp_path: Path) -> None:
    page = opened(open_page, tmp_path, "w", steps=500, w=1.0)
    assert page.page.locator("#steps tbody tr").count() == MOST_ROWS
    assert f"The first {MOST_ROWS} of 500 rows; gdcli step --format csv" in page.text("#steps")
    assert "and 500 steps from" in page.text("#picture-caption")


def test_a_graph_of_many_nodes_has_their_texts_under_the_pointer(
    open_page: Opens, tmp_path: Path
) -> None:
    text = " + ".join(f"w{i}*w{i + 1}" for i in range(30))
    weights: dict[str, Any] = {f"w{i}": 1.0 + i for i in range(31)}
    page = opened(open_page, tmp_path, text, **weights)
    assert page.page.locator("#graph-plot .node-text").count() == 0
    assert re.match(r"Backpropagation: 90 nodes, .* The loss is v90, ", page.text("#graph-caption"))
