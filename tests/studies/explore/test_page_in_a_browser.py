"""The page of an exploration in a real Chromium: examples are pointed at, filtered and stepped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.runs.options import Silent
from gdcli.studies.explore.dynamics import Exploration, explore
from gdcli.studies.explore.page import page_bytes
from gdcli.studies.options import Compute, DataMap
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.opened import Opened, Opens

CONTROLS = {"setting", "order", "errors-only", "flipped-only", "back", "forth", "wanted"}


def exploration(
    problem: str, options: dict[str, Any] | None = None, flips: float = 0.0, **grid: Any
) -> Exploration:
    study = DataMap(flip_labels=flips)
    return explore(experiment(problem, options, **grid), study, Compute(device="cpu"), Silent)


@pytest.fixture(scope="module")
def digits() -> Exploration:
    """Return what two rates make of the digits, one in twenty of which is labelled wrongly."""
    return exploration("softmax-regression", flips=0.05, method="minibatch", epochs="5", lr="0.1,1")


@pytest.fixture
def opened(open_page: Opens, tmp_path: Path, digits: Exploration) -> Opened:
    """Return the page of the digits."""
    return opened_page(open_page, tmp_path, digits)


def opened_page(open_page: Opens, folder: Path, found: Exploration) -> Opened:
    file = folder / "map.html"
    file.write_bytes(page_bytes(found))
    return open_page(file)


def test_the_map_is_drawn_and_said(opened: Opened, digits: Exploration) -> None:
    assert opened.drawn("#map-plot")
    lowest = digits.trained[0].measures
    errors = int(lowest["likely_error"].sum())
    easy = int((lowest["region"] == 0).sum())
    caption = opened.text("#map-caption")
    assert caption.startswith("Data map: 1438 of 1438 examples of minibatch 32 vanilla lr ")
    assert f"; {easy} easy, " in caption
    assert f"{errors} likely label errors, ringed" in caption
    opened.page.locator("#map summary").click()
    assert opened.page.locator("#map-numbers tbody tr").count() == 10


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(opened: Opened) -> None:
    named = "[...document.querySelectorAll('input, select')].every((e) => e.labels.length === 1)"
    assert opened.page.evaluate(named)
    found = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        found.add(opened.page.evaluate("document.activeElement.id"))
    assert found >= CONTROLS


def test_pointing_at_an_example_shows_it_and_a_click_keeps_it(opened: Opened) -> None:
    opened.page.mouse.move(*opened.point("map", "ambiguous"))
    opened.page.locator("#portrait img").wait_for()
    title = opened.text("#portrait-title")
    assert re.match(r"Example \d+: label \d", title)
    opened.page.mouse.down()
    opened.page.mouse.up()
    opened.page.mouse.move(0, 0)
    assert opened.text("#portrait-title") == title
    assert "ambiguous" in opened.text("#portrait dl")


def test_the_picture_of_an_example_is_shown(opened: Opened) -> None:
    opened.page.fill("#wanted", "7")
    opened.page.press("#wanted", "Enter")
    size = "(i) => i.decode().then(() => [i.naturalWidth, i.naturalHeight])"
    assert opened.page.locator("#portrait img").evaluate(size) == [8, 8]
    assert opened.page.locator("#portrait img").get_attribute("alt") == "Picture of example 7"


def test_keys_step_through_the_examples_in_order(opened: Opened, digits: Exploration) -> None:
    worst = int(digits.trained[0].measures["margin"].argmin())
    opened.page.focus("#forth")
    opened.page.keyboard.press("Enter")
    assert opened.text("#portrait-title").startswith(f"Example {worst}: label ")
    assert ", made wrong on purpose: it was " in opened.text("#portrait-title")
    opened.page.keyboard.press("Enter")
    second = opened.text("#portrait-title")
    assert not second.startswith(f"Example {worst}:")
    opened.page.press("#back", "Enter")
    assert opened.text("#portrait-title").startswith(f"Example {worst}:")
    button = opened.page.locator("#table tbody button").nth(1)
    button.press("Enter")
    assert opened.text("#portrait-title") == second
    opened.page.fill("#wanted", "99999")
    opened.page.press("#wanted", "Enter")
    assert opened.text("#portrait-title") == "Example 99999 is not shown"


def test_filters_choose_what_all_parts_show(opened: Opened, digits: Exploration) -> None:
    own, labels = digits.trained[0].measures, digits.examples.labels
    assert labels is not None
    opened.page.get_by_role("button", name="none of class").click()
    assert opened.text("#chosen") == "0 of 1438 examples"
    opened.page.check("#facets input[name=class][value='3']")
    assert opened.text("#chosen") == f"{(labels == 3).sum()} of 1438 examples"
    opened.page.uncheck("#facets input[name=region][value=easy]")
    left = (labels == 3) & (own["region"] != 0)
    assert opened.text("#chosen") == f"{left.sum()} of 1438 examples"
    opened.page.check("#errors-only")
    errors = left & own["likely_error"]
    assert opened.text("#chosen") == f"{errors.sum()} of 1438 examples"
    assert opened.page.locator("#table tbody tr").count() == errors.sum()
    opened.page.check("#flipped-only")
    flipped = digits.examples.flipped
    assert flipped is not None
    assert opened.text("#chosen") == f"{(errors & flipped).sum()} of 1438 examples"


def test_a_setting_is_a_choice(opened: Opened, digits: Exploration) -> None:
    first = opened.text("#map-caption")
    opened.page.select_option("#setting", index=1)
    easy = int((digits.trained[1].measures["region"] == 0).sum())
    assert opened.text("#map-caption") != first
    assert f"; {easy} easy, " in opened.text("#map-caption")


def test_rows_of_features_are_shown_as_they_were_measured(open_page: Opens, tmp_path: Path) -> None:
    found = exploration("logistic-regression", epochs="3")
    opened = opened_page(open_page, tmp_path, found)
    opened.page.click("#forth")
    rows = opened.texts("#portrait tbody tr")
    assert len(rows) == 30
    assert rows[0].startswith("mean radius\t")
    assert 6 < float(rows[0].split("\t")[1]) < 30  # not standardised
    assert not opened.page.is_visible("#flipped-only")


def test_of_a_regression_the_losses_are_drawn(open_page: Opens, tmp_path: Path) -> None:
    opened = opened_page(open_page, tmp_path, exploration("linear-regression", epochs="5"))
    assert opened.text("#map-caption").startswith(
        "Mean loss against its deviation over the epochs: 354 of "
    )
    assert opened.drawn("#map-plot")
    assert not opened.page.is_visible("#errors-only")
    opened.page.click("#forth")
    assert "loss deviation" in opened.text("#portrait dl")


def test_nothing_trained_is_a_page_too(open_page: Opens, tmp_path: Path) -> None:
    found = exploration("linear-regression", lr="10")
    opened = opened_page(open_page, tmp_path, found)
    assert opened.text("#chosen") == "0 of 354 examples"


def test_no_script_runs_from_a_name(open_page: Opens, tmp_path: Path) -> None:
    name = "<img src=x onerror='window.hit=1'>"
    file = tmp_path / "data.csv"
    rows = "".join(f"{i},{i % 7},{i % 2}\n" for i in range(40))
    file.write_text(f"{name},</script><script>window.hit=1</script>,y\n{rows}")
    options = {"data": str(file), "target": "y"}
    found = exploration("logistic-regression", options, epochs="3")
    opened = opened_page(open_page, tmp_path, found)
    opened.page.click("#forth")
    assert name in opened.text("#portrait tbody")
    assert opened.page.evaluate("window.hit") is None


def test_rows_and_classes_of_a_file_have_the_users_names(open_page: Opens, tmp_path: Path) -> None:
    names = ("setosa", "<img src=x onerror='window.hit=1'>")
    file = tmp_path / "data.csv"
    rows = "".join(f"{i},{i % 7},{names[i % 2]}\n" for i in range(40))
    file.write_text(f"a,b,kind\n{rows}")
    options = {"data": str(file), "target": "kind"}
    found = exploration("logistic-regression", options, epochs="3")
    opened = opened_page(open_page, tmp_path, found)
    line = found.examples.described.rows[7]
    opened.page.fill("#wanted", "7")
    opened.page.press("#wanted", "Enter")
    own = names[line % 2]  # the first row is on line 2
    assert opened.text("#portrait-title").startswith(f"Example 7 (line {line}): label {own}")
    assert opened.texts("#portrait tbody tr")[0] == f"a\t{line - 2}"
    header = opened.texts("#table thead th")
    assert header[:3] == ["example", "line", "label"]
    opened.page.select_option("#order", "example")
    cells = opened.texts("#table tbody tr")[7].split("\t")
    assert cells[:3] == ["7", str(line), own]
    assert cells[header.index("predicted")] in names
    opened.page.uncheck("#facets input[value=setosa]")
    assert {row.split("\t")[2] for row in opened.texts("#table tbody tr")} == {names[1]}
    assert opened.page.evaluate("window.hit") is None
