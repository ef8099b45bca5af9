"""The page in a real Chromium without a network: it draws, chooses, sorts, and runs no name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import inf, isfinite, nan
from typing import TYPE_CHECKING

import pytest

from gdcli.report.charts.charts import curves, heatmap, read_source
from tests.report.pages import KNOWN, THEORY, write_landscape, write_page
from tests.run_folders import Made, descent, grid

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.report.charts.chart import HeatMap
    from tests.report.opened import Opened, Opens

HOSTILE = [
    "<img src=x onerror='window.hit=1'>",
    "</script><script>window.hit=1</script>",
    "<a href='javascript:window.hit=1'>x</a>&amp;",
]
PLOTS = ("curves", "sensitivity", "heatmap", "theory", "landscape")


@pytest.fixture
def opened(open_page: Opens, tmp_path: Path) -> Opened:
    """Return the page of a grid: two optimizers, three learning rates, three seeds."""
    trials = grid()
    write_landscape(tmp_path, trials)
    return open_page(write_page(tmp_path, trials, **KNOWN))


def test_it_draws_without_a_network(opened: Opened) -> None:
    for name in PLOTS:
        assert opened.drawn(f"#{name}-plot"), name
    assert opened.page.locator("#curves-plot .trace").count() == 12  # train and test, of 6 lines
    assert opened.page.locator("#heatmap-plot .cells rect").count() == 6
    assert opened.page.locator("#landscape-plot .contours path").count() > 10


def test_every_picture_has_its_text(opened: Opened) -> None:
    for name in PLOTS:
        plot = opened.page.locator(f"#{name}-plot")
        assert plot.get_attribute("role") == "img"
        caption = plot.get_attribute("aria-labelledby")
        assert len(opened.text(f"#{caption}")) > 40
        opened.page.locator(f"#{name} summary").click()
        assert opened.page.locator(f"#{name}-numbers tbody tr").count() >= 2
    assert "Training and test loss over the epochs: 6 lines. Each l" in opened.text(
        "#curves-caption"
    )
    assert "gd momentum lr 0.1, training loss: from " in opened.text("#curves-caption")


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(opened: Opened) -> None:
    named = "[...document.querySelectorAll('input, select')].every((e) => e.labels.length === 1)"
    assert opened.page.evaluate(named)
    focused = "document.activeElement.id || document.activeElement.className"
    controls = "document.querySelectorAll('input, select, button:enabled, summary').length"
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate(focused) == "skip"
    found = set()
    for _ in range(opened.page.evaluate(controls) + 30):
        opened.page.keyboard.press("Tab")
        found.add(opened.page.evaluate(focused))
    assert {"metric", "lines", "best-only", "log", "across", "down", "compare", "find"} <= found


def test_boxes_choose_what_all_parts_show(opened: Opened) -> None:
    assert opened.text("#chosen") == "18 of 18 trials"
    assert len(opened.lines()) == 6
    opened.page.check("#best-only")
    assert opened.lines() == ["gd momentum lr 0.1", "gd vanilla lr 0.1"]
    opened.page.uncheck("#facets input[name=optimizer][value=momentum]")
    assert opened.text("#chosen") == "9 of 18 trials"
    assert opened.lines() == ["gd vanilla lr 0.1"]
    assert set(opened.column("optimizer")) == {"vanilla"}
    assert "1 of 1 setting" in opened.text("#sensitivity-caption")
    opened.page.uncheck("#facets input[name=lr][value='0.1']")
    assert opened.lines() == ["gd vanilla lr 0.01"]
    assert set(opened.column("lr")) == {"0.01", "1.0"}
    opened.page.uncheck("#facets input[name=seed][value='0']")
    assert opened.text("#chosen") == "4 of 18 trials"
    opened.page.get_by_role("button", name="none of seed").click()
    assert opened.text("#chosen") == "0 of 18 trials"
    assert opened.text("#range") == "no trial"
    opened.page.get_by_role("button", name="all of seed").click()
    assert opened.text("#chosen") == "6 of 18 trials"


def test_boxes_choose_the_paths_across_the_landscape(opened: Opened) -> None:
    caption = opened.text("#landscape-caption")
    assert "Lighter is lower: from 0 to 8." in caption
    assert " 18 paths, each from a dot (start) to a star (end) or an x (diverged)." in caption
    assert opened.page.locator("#landscape-numbers tbody tr").count() == 18
    opened.page.uncheck("#facets input[name=optimizer][value=momentum]")
    assert " 9 paths, " in opened.text("#landscape-caption")
    assert "momentum" not in opened.text("#landscape-caption")
    opened.page.get_by_role("button", name="none of seed").click()
    assert " 0 paths, " in opened.text("#landscape-caption")


def test_theory_and_measurement_are_compared(opened: Opened) -> None:
    assert opened.texts("#compare option") == ["convergence rate", "stability limit"]
    assert "Of 4 learning rates that did not diverge, half are within" in opened.text(
        "#theory-caption"
    )
    opened.page.locator("#theory summary").click()
    first = opened.page.locator("#theory-numbers tbody tr").first.locator("td").all_inner_texts()
    assert first[:3] == ["gd vanilla", "0.01", "still falling"]
    assert (first[4], first[6]) == ("2/L", "0.99")
    opened.page.focus("#compare")
    opened.page.keyboard.press("s")
    caption = opened.text("#theory-caption")
    assert "Of 6 learning rates with an exact limit, 6 did as theory says" in caption
    opened.page.uncheck("#facets input[name=lr][value='1.0']")
    assert "Of 4 learning rates with an exact limit" in opened.text("#theory-caption")


def test_a_limit_that_is_only_sufficient_and_a_floor_are_said_to_be(
    open_page: Opens, tmp_path: Path
) -> None:
    bounded = {"largest": 10.0, "smallest": 0.0, "exact": False, "every_batch": False}
    excess = {0.01: 0.1, 0.1: 1.0, 1.0: None}  # None: it is infinite
    floors = [{"batch_size": 1, "lr": lr, "excess": e, "mean": e} for lr, e in excess.items()]
    entry = THEORY | {"curvature": bounded, "floors": floors}
    experiment = {"problem": "x", "settings": {"grid": {"order": "replacement"}}}
    sgd = [replace(trial, method="sgd", batch_size=1) for trial in grid()]
    page = write_page(
        tmp_path, [*grid(), *sgd], **{**KNOWN, "experiment": experiment, "theory": [entry]}
    )
    opened = open_page(page)
    assert opened.texts("#compare option") == ["noise floor", "stability limit"]
    assert "Infinite" not in opened.text("#theory-caption")
    assert "1 learning rate diverged." in opened.text("#theory-caption")
    opened.page.select_option("#compare", "limit")
    caption = opened.text("#theory-caption")
    assert "Below a limit that is only sufficient, 2 of 2 did not diverge; above it, the" in caption


def test_what_rounding_costs_is_a_table_and_a_picture(open_page: Opens, tmp_path: Path) -> None:
    grid = [
        ("none", 0, 0.9, nan),
        ("ptq", 2, 0.9, 0.5),
        ("qat", 2, nan, 0.8),
        ("qat", 4, nan, 0.875),
    ]
    trials = [
        Made([9.0, 1.0], varied=[how, bits or ""], test_losses=[9.0, 2.0], metrics=[whole, rounded])
        for how, bits, whole, rounded in grid
    ]
    theory = [
        THEORY
        | {
            "options": {"quantize": how, "weight_bits": str(bits or "")},
            "quantized": {
                "how": how,
                "weight_bits": bits or None,
                "activation_bits": 8 if bits else None,
                "float_bytes": 400,
                "bytes": 25 * (bits or 16),
            },
        }
        for how, bits, *_ in grid
    ]
    metrics = ["test_accuracy", "test_quantized_accuracy"]
    page = write_page(
        tmp_path, trials, ["quantize", "weight_bits"], metrics, **KNOWN | {"theory": theory}
    )
    opened = open_page(page)
    assert opened.texts("nav a[href='#quantization']") == ["Quantization"]
    table = opened.texts("#quantization > div tbody tr")
    assert [row.split("\t")[-5:] for row in table] == [
        ["0.9", "", "", "400", "400"],
        ["0.9", "0.5", "0.4", "400", "50"],
        ["0.9", "0.8", "0.1", "400", "50"],
        ["0.9", "0.875", "0.025", "400", "100"],
    ]
    assert opened.drawn("#quantization-plot")
    caption = opened.text("#quantization-caption")
    assert caption.startswith(
        "Test accuracy against the bits of a weight, 32 where it is not round"
    )
    assert ": 3 lines. not rounded, 32 bits: 0.9. rounded after training, 2 bits: 0.5." in caption
    opened.page.locator("#quantization summary").click()
    rows = opened.texts("#quantization-numbers tbody tr")
    assert rows[3] == "rounded while training\t4\t8\t0.875\t100"


def test_a_landscape_without_a_finite_loss_is_blank(open_page: Opens, tmp_path: Path) -> None:
    trials = [Made([4.0, nan], status="diverged"), Made([4.0, 1.0], lr=0.2)]
    write_landscape(tmp_path, trials, lowest=inf)
    opened = open_page(write_page(tmp_path, trials))
    caption = opened.text("#landscape-caption")
    assert "Blank: 1681 points without a finite loss. 2 paths" in caption
    assert "gd vanilla lr 0.1 seed 0: from 4 to diverged." in caption


def test_lines_are_of_all_learning_rates_or_of_every_trial(opened: Opened) -> None:
    assert len(opened.lines()) == 6
    opened.page.select_option("#lines", "trial")
    assert len(opened.lines()) == 18
    assert "gd vanilla lr 0.1 seed 2" in opened.lines()
    assert "An x marks a line that diverged (6)." in opened.text("#curves-caption")


def test_a_point_says_its_numbers_under_the_pointer(opened: Opened) -> None:
    opened.page.mouse.move(*opened.point("curves", "gd vanilla lr 0.1", 1))
    said = opened.text(".tip")
    assert re.search(
        r"^gd (vanilla|momentum) lr [\d.]+\n(training|test) loss, epoch 1: \d+\.?\d*$", said
    )
    opened.page.mouse.move(0, 0)
    assert not opened.page.is_visible(".tip")


def test_the_table_is_sorted_by_button_and_by_key(opened: Opened) -> None:
    button = opened.page.locator("#table th button", has_text="final train loss")
    button.click()
    losses = [float(text) for text in opened.column("final train loss")]
    assert losses == sorted(losses)
    assert opened.page.locator("th[aria-sort=ascending]").inner_text() == "final train loss"
    button.press("Enter")
    losses = [float(text) for text in opened.column("final train loss")]
    assert losses == sorted(losses, reverse=True)
    assert opened.page.locator("th[aria-sort=descending]").count() == 1


def test_the_table_finds_text_in_any_column(opened: Opened) -> None:
    opened.page.fill("#find", "DIVERGED")
    assert opened.text("#range") == "1 to 6 of 6 trials"
    assert set(opened.column("status")) == {"diverged"}


def test_the_table_has_pages(open_page: Opens, tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0], seed=seed) for seed in range(250)]
    opened = open_page(write_page(tmp_path, trials))
    assert opened.text("#range") == "1 to 100 of 250 trials"
    assert opened.page.is_disabled("#previous")
    opened.page.click("#next")
    opened.page.click("#next")
    assert opened.text("#range") == "201 to 250 of 250 trials"
    assert opened.page.is_disabled("#next")


def test_the_numbers_are_those_of_gdcli_plot(open_page: Opens, tmp_path: Path) -> None:
    trials = [*grid(), descent(0.15, 0, epochs=5), descent(5.0, 1)]
    opened = open_page(write_page(tmp_path, trials))
    source = read_source(tmp_path, "train_loss")
    for line in curves(source).panels[0].lines:
        script = (
            "(name) => band(trials.filter("
            "(trial) => lineName(run.setting[trial], trial, false) === name), 'train_loss')"
        )
        found = opened.page.evaluate(script, line.label)
        assert [point["x"] for point in found] == [x for x, _ in line.points]
        for ours, (_, theirs) in zip(found, line.points, strict=True):
            for name in ("low", "median", "high", "count"):
                assert ours[name] == pytest.approx(getattr(theirs, name), rel=1e-3)
    rows = opened.page.locator("#heatmap-numbers tbody tr").all()
    shown = [[cell.text_content() for cell in row.locator("td").all()][1:] for row in rows]
    assert shown == numbers(heatmap(source))


def numbers(picture: HeatMap) -> list[list[str]]:
    def said(value: float) -> str:
        return repr_js(value) if isfinite(value) else "diverged"

    return [[said(s.value) if s else "" for s in row] for row in picture.squares]


def repr_js(value: float) -> str:
    """Return four digits as JavaScript writes them."""
    short = float(f"{value:.4g}")
    if 1e-6 <= abs(short) < 1e21:
        return f"{short:.20f}".rstrip("0").rstrip(".") if short < 1e-4 else f"{short:.10g}"
    mantissa, power = f"{short:.4g}".split("e")
    return f"{mantissa}e{int(power):+d}"


ZERO = [Made([4.0, 1.0, 0.0, -1.0])]
LOST = [Made([1.0, nan], status="diverged"), Made([1.0, inf], lr=1, status="diverged")]
FAILED = [Made([], status="failed", message="boom")]


@pytest.mark.parametrize(
    ("trials", "says"),
    [
        ([Made([1.0, 0.5])], "1 line."),
        (ZERO, "Points at or below 0 (2) are drawn in a lane below the log"),
        (LOST, "2 lines. Each learning rate has a colour. Where two solid lines"),
        ([*ZERO, *FAILED, *LOST], "An x marks a line that diverged (2). Values far above the r"),
    ],
    ids=["two points", "not positive", "diverged", "all of them"],
)
def test_any_run_is_drawn(open_page: Opens, tmp_path: Path, trials: list[Made], says: str) -> None:
    opened = open_page(write_page(tmp_path, trials))
    opened.page.check("#log")
    assert says in opened.text("#curves-caption")
    assert opened.drawn("#curves-plot")
    opened.page.uncheck("#log")
    for axis in ("seed", "lr"):
        if opened.page.locator(f"#heatmap:visible #down option[value={axis}]").count():
            opened.page.select_option("#down", axis)
    if len(trials) > 1:
        opened.page.select_option("#lines", "trial")


@pytest.mark.parametrize("trials", [[Made([1.0])], FAILED], ids=["one point", "failed"])
def test_what_says_nothing_is_left_out(
    open_page: Opens, tmp_path: Path, trials: list[Made]
) -> None:
    opened = open_page(write_page(tmp_path, trials))
    for part in ("curves", "sensitivity", "heatmap"):
        assert not opened.page.is_visible(f"#{part}")
        assert not opened.page.is_visible(f"nav a[href='#{part}']")
    assert not opened.page.is_visible("#choice")
    assert opened.text("#range") == "1 to 1 of 1 trials"


def test_zero_has_a_place_of_its_own_below_the_axis(open_page: Opens, tmp_path: Path) -> None:
    opened = open_page(write_page(tmp_path, [Made([9.0, 1.0, 0.0, 0.0])]))
    path = opened.page.locator("#curves-plot .trace").get_attribute("d") or ""
    heights = [float(point.split(",")[1]) for point in re.split("[ML]", path)[1:]]
    assert heights[0] < heights[1] < heights[2] == heights[3]
    assert opened.page.evaluate("plots.get('curves').panels[0].y.ticks[0][1]") == "0"
    assert opened.page.locator("#curves-plot .break").get_attribute("d") != ""


def test_what_diverges_stays_visible_and_does_not_flatten_the_others(
    open_page: Opens, tmp_path: Path
) -> None:
    falls = [4 * 0.5**k for k in range(10)]
    grows = Made([4 * 10.0**k for k in range(10)], lr=1, status="diverged")
    opened = open_page(write_page(tmp_path, [Made(falls), grows]))
    paths = opened.page.locator("#curves-plot .trace").all()
    spans = []
    for path in paths:
        points = re.split("[ML]", path.get_attribute("d") or "")[1:]
        heights = [float(point.split(",")[1]) for point in points]
        spans.append(max(heights) - min(heights))
        assert len(heights) == len(set(heights)) == 10
    height = opened.page.evaluate("plots.get('curves').panels[0].frame.height")
    assert max(spans) > 0.5 * height  # of what held
    assert min(spans) > 0.25 * height


def test_no_mark_hides_another(open_page: Opens, tmp_path: Path) -> None:
    lost = [Made([1.0, inf], optimizer=name, lr=1.0, status="diverged") for name in "abc"]
    held = [Made([1.0, 0.5], optimizer=name) for name in "abc"]
    opened = open_page(write_page(tmp_path, [*held, *lost]))
    found = opened.page.evaluate("plots.get('sensitivity').panels[0].hits.map((hit) => hit.at)")
    assert len(found) == 6
    for k, (x, y) in enumerate(found):
        for other, height in found[:k]:
            assert abs(x - other) >= 9 or abs(y - height) >= 9


def test_of_lines_on_one_another_the_upper_is_dashed(open_page: Opens, tmp_path: Path) -> None:
    falls = [4 * 0.5**k for k in range(10)]
    trials = [Made(falls, lr=lr) for lr in (0.1, 0.9)] + [Made([4.0, 3.0], lr=0.2)]
    opened = open_page(write_page(tmp_path, trials))
    dashes = (
        "[...document.querySelectorAll('#curves-plot .trace')].map((e) => e.style.strokeDasharray)"
    )
    assert sorted(opened.page.evaluate(dashes)) == ["14, 14", "none", "none"]


def test_of_many_settings_the_best_have_all_their_rates(open_page: Opens, tmp_path: Path) -> None:
    trials = [
        Made([9.0, lr * k], lr=lr, varied=[k]) for k in range(1, 61) for lr in (0.1, 0.2, 40.0)
    ]
    opened = open_page(write_page(tmp_path, trials, ["condition"]))
    assert opened.page.locator("#curves-plot .panel").count() == 12
    assert opened.page.locator("#curves-plot .trace").count() == 36
    assert ": 36 of 180 lines: at most 100 of each of the 12" in opened.text("#curves-caption")
    assert opened.page.locator("#heatmap-plot .cells rect").count() == 180
    assert opened.texts("#result p") == [
        "gd vanilla condition=1 at learning rate 0.1 has the lowest loss: 0.1."
    ]


def test_every_rate_has_a_colour_of_its_own(opened: Opened) -> None:
    colours = (
        "[...document.querySelectorAll('#curves-plot .panel')].map((panel) =>"
        " [...panel.querySelectorAll('.trace')].map((e) => getComputedStyle(e).stroke))"
    )
    first, second = opened.page.evaluate(colours)
    assert len(set(first)) == 3
    assert set(first) == set(second)  # the same rate has the same colour in each panel
    assert opened.texts("#curves .legend button") == ["0.01", "0.1", "1"]
    assert "colour: learning rate" in opened.text("#curves .legend")


def test_theory_is_a_curve_between_the_rates_that_were_tried(
    open_page: Opens, tmp_path: Path
) -> None:
    trials = [descent(lr, epochs=30) for lr in (0.05, 0.1, 0.3)]
    opened = open_page(write_page(tmp_path, trials, **KNOWN))
    (curve,) = opened.page.evaluate("run.views.theory.curves")
    least, best = min(zip(curve["rate"], curve["lr"], strict=True))
    assert (least, best) == (pytest.approx(9 / 11, abs=1e-3), pytest.approx(2 / 11, rel=1e-2))
    assert len(opened.page.locator("#theory-plot .trace").get_attribute("d") or "") > 1000


def test_an_empty_choice_is_said_not_drawn(opened: Opened) -> None:
    opened.page.get_by_role("button", name="none of seed").click()
    for name in ("curves", "sensitivity", "heatmap", "theory"):
        assert opened.page.locator(f"#{name}-plot svg").count() == 0
        assert "There is nothing to draw: no trial is chosen" in opened.text(f"#{name}-plot")


def test_a_drag_zooms_and_a_button_shows_the_whole(opened: Opened) -> None:
    ticks = "plots.get('curves').panels[0].x.ticks.map(([, text]) => text)"
    before = opened.page.evaluate(ticks)
    x, y = opened.point("curves", "gd vanilla lr 0.1", 1)
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 60, y - 40)
    opened.page.mouse.up()
    assert opened.page.evaluate(ticks) != before
    opened.page.get_by_role("button", name="whole chart").click()
    assert opened.page.evaluate(ticks) == before


def test_the_legend_hides_and_shows(opened: Opened) -> None:
    before = opened.page.locator("#curves-plot .trace").count()
    entry = opened.page.locator("#curves .legend button", has_text="0.01")
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert opened.page.locator("#curves-plot .trace").count() == before - 4
    opened.page.keyboard.press("Enter")  # the focus stays
    assert opened.page.locator("#curves-plot .trace").count() == before


def test_the_result_and_why_come_first(opened: Opened) -> None:
    assert opened.texts("main h2")[:2] == ["Result", "Why"]
    (result,) = opened.texts("#result p")
    assert result.startswith("gd ")
    assert " has the lowest loss: " in result
    assert any("blew up at step" in line for line in opened.texts("#why li"))
    opened.page.locator("#why summary").click()
    assert opened.page.locator("#why tbody tr").count() == 6


@pytest.mark.parametrize("width", [360, 420, 1280, 3840])
def test_nothing_is_cut_at_any_width(open_page: Opens, tmp_path: Path, width: int) -> None:
    trials = grid()
    write_landscape(tmp_path, trials)
    opened = open_page(write_page(tmp_path, trials, **KNOWN))
    opened.page.set_viewport_size({"width": width, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.wait_for_function(
        "[...plots.values()].every(({width, host}) => width === host.clientWidth)"
    )
    outside = (
        "[...document.querySelectorAll('.plot svg')].flatMap((chart) => {"
        " const box = chart.getBoundingClientRect();"
        " return [...chart.querySelectorAll('text')].filter((text) => {"
        "  const own = text.getBoundingClientRect();"
        "  return own.left < box.left - 1 || own.right > box.right + 1; }); })"
        ".map((text) => text.textContent)"
    )
    assert opened.page.evaluate(outside) == []


def test_the_filters_stay_in_view(opened: Opened) -> None:
    opened.page.evaluate("document.getElementById('theory').scrollIntoView()")
    assert opened.page.evaluate("document.getElementById('chosen').getBoundingClientRect().y") >= 0
    box = opened.page.evaluate("document.getElementById('filters').getBoundingClientRect().y")
    assert box < opened.page.evaluate("innerHeight")


def test_it_is_dark_where_the_reader_wants_it_and_light_in_print(opened: Opened) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    assert opened.page.evaluate(paper) == "rgb(255, 255, 255)"
    opened.page.emulate_media(color_scheme="dark")
    assert opened.page.evaluate(paper) == "rgb(20, 23, 27)"
    opened.page.emulate_media(color_scheme="dark", media="print")
    assert opened.page.evaluate(paper) == "rgb(255, 255, 255)"


def test_it_prints_whole(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    opened.page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 718
    cut = (
        "[...document.querySelectorAll('table, svg, pre, .legend')].filter((part) =>"
        " part.getClientRects().length && part.getBoundingClientRect().right > innerWidth)"
        ".map((part) => part.outerHTML.slice(0, 80))"
    )
    assert opened.page.evaluate(cut) == []


def test_metrics_are_a_choice(open_page: Opens, tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0], test_losses=[8.0, 2.0], lr=lr) for lr in (0.1, 0.2)]
    opened = open_page(write_page(tmp_path, trials))
    opened.page.select_option("#metric", "test_loss")
    assert opened.text("#curves-caption").startswith("Test loss over the epochs")
    assert opened.page.locator("#heatmap-numbers td").nth(1).text_content() == "2"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_script_runs_from_a_name(open_page: Opens, tmp_path: Path, name: str) -> None:
    trials = [
        Made([9.0, 1.0], optimizer=name, lr=lr, varied=[value])
        for lr in (0.1, 0.2)
        for value in (name, "b")
    ]
    trials.append(Made([], status="failed", message=name, varied=[name]))
    write_landscape(tmp_path, trials)
    said = {"plane": name, "x": name, "y": name}
    (tmp_path / "landscape.json").write_text(json.dumps(said))
    opened = open_page(write_page(tmp_path, trials, [name], **{**KNOWN, "host": name}))
    assert f"Training loss over {name}; x: {name}" in opened.text("#landscape-caption")
    opened.page.locator("#curves-plot svg").first.hover()
    opened.page.select_option("#down", name)
    assert any(name in text for text in opened.texts("#curves-plot .panel-title"))
    assert any(name in text for text in opened.texts("#sensitivity .legend button"))
    assert name in opened.texts("#best td:first-child")[0]
    assert name in opened.text("#manifest")
    assert opened.page.evaluate("window.hit") is None
    assert opened.page.locator("#curves-plot image, main a[href^=java], main img").count() == 0


def test_a_script_that_gets_in_does_not_run(opened: Opened) -> None:
    opened.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.hit = 1'}))"
    )
    assert opened.page.evaluate("window.hit") is None
    assert "Content Security Policy" in opened.complaints.pop()
