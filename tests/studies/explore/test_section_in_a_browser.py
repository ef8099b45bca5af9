"""An exploration in a run's folder, on the run's page in a real Chromium."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.errors import UserError
from gdcli.report.page.run_page import page_bytes
from gdcli.runs.options import Silent
from gdcli.studies.explore.dynamics import Exploration, explore
from gdcli.studies.explore.files import write
from gdcli.studies.explore.show import tables_of
from gdcli.studies.options import Compute, DataMap
from tests.grids import experiment
from tests.report.pages import write_page
from tests.run_folders import Made

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.opened import Opened, Opens

CPU = Compute(device="cpu")


def explored(folder: Path, problem: str, flips: float = 0.0, **grid: Any) -> Exploration:
    """Explore a problem into a run's folder."""
    given = experiment(problem, grid.pop("options", None), **grid)
    found = explore(given, DataMap(flip_labels=flips), CPU, Silent)
    write(folder / "explore", found, CPU, tables_of(found))
    return found


def page_of(folder: Path, found: Exploration, **grid: object) -> Path:
    tables = json.loads(json.dumps(found.experiment.tables(), default=str))  # a path is text
    settings = tables | {"grid": grid or tables["grid"]}
    said = {"problem": found.experiment.name, "settings": settings}
    return write_page(folder, [Made([4.0, 1.0])], experiment=said)


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exploration]:
    """Return a run on the wines, a tenth of which is labelled wrongly, explored at two rates."""
    folder = tmp_path_factory.mktemp("wine")
    options = {"dataset": "wine"}
    found = explored(folder, "softmax-regression", 0.1, options=options, epochs="8", lr="0.01,0.5")
    return page_of(folder, found), found


@pytest.fixture
def opened(open_page: Opens, wine: tuple[Path, Exploration]) -> Opened:
    """Return the page of the wines."""
    return open_page(wine[0])


def test_the_map_and_the_likely_errors_are_those_of_explore(
    opened: Opened, wine: tuple[Path, Exploration]
) -> None:
    assert opened.texts("nav a[href='#explored']") == ["Examples"]
    assert "10% of the labels were made wrong." in opened.texts("#explored > p")[0]
    assert opened.page.locator("#explored > div tbody tr").count() == 2
    assert opened.drawn("#explored-plot")
    assert opened.texts("#explored-setting option") == [
        "lr 0.5",
        "lr 0.01",
    ]  # the lowest loss first
    for setting in wine[1].trained:
        own = setting.measures
        caption = opened.text("#explored-caption")
        assert f": 142 of 142 examples; {(own['region'] == 0).sum()} easy, " in caption
        assert f"; {own['likely_error'].sum()} likely label error" in caption
        opened.page.select_option("#explored-setting", index=1)
    opened.page.select_option("#explored-setting", index=0)
    opened.page.locator("#explored summary").click()
    first = opened.texts("#explored-numbers tbody tr")[0].split("\t")
    own, labels = wine[1].trained[0].measures, wine[1].examples.labels
    worst = int(own["margin"].argmin())
    assert labels is not None
    assert first[:3] == [str(worst), str(labels[worst]), str(own["predicted"][worst])]


def test_rows_and_classes_of_a_file_have_the_users_names(open_page: Opens, tmp_path: Path) -> None:
    lines = [f"{i % 2 + i / 400},{'=yes' if (i % 2) ^ (i % 9 == 0) else 'no'}" for i in range(90)]
    (tmp_path / "t.csv").write_text("\n".join(["a,kind", *lines]) + "\n")
    options = {"data": str(tmp_path / "t.csv"), "target": "kind"}
    found = explored(tmp_path, "logistic-regression", options=options, epochs="100", lr="1")
    opened = open_page(page_of(tmp_path, found))
    own, about = found.trained[0].measures, found.examples.described
    worst = int(own["margin"].argmin())
    assert own["likely_error"][worst]
    opened.page.locator("#explored summary").click()
    assert opened.texts("#explored-numbers thead th")[:4] == [
        "example",
        "line",
        "label",
        "model expects",
    ]
    first = opened.texts("#explored-numbers tbody tr")[0].split("\t")
    line = about.rows[worst]
    said = lines[line - 2].split(",")[1]
    other = {"no": "=yes", "=yes": "no"}[said]
    assert first[:4] == [str(worst), str(line), said, other]


def test_of_a_regression_the_losses_are_drawn(open_page: Opens, tmp_path: Path) -> None:
    found = explored(tmp_path, "linear-regression", epochs="5", lr="0.1,10")
    opened = open_page(page_of(tmp_path, found))
    caption = opened.text("#explored-caption")
    assert (
        caption
        == "Mean loss against its deviation over the epochs, the only setting: 354 of 354 examples."
    )
    assert opened.drawn("#explored-plot")
    worst = int(found.trained[0].measures["loss"].argmax())
    opened.page.locator("#explored summary").click()
    assert opened.texts("#explored-numbers tbody td")[0] == str(worst)


def test_nothing_trained_is_said(open_page: Opens, tmp_path: Path) -> None:
    found = explored(tmp_path, "linear-regression", lr="10")
    opened = open_page(page_of(tmp_path, found))
    assert opened.text("#explored-caption") == "No setting was trained to the end."


def test_an_exploration_of_other_data_is_not_shown(
    open_page: Opens, wine: tuple[Path, Exploration], tmp_path: Path
) -> None:
    write(tmp_path / "explore", wine[1], CPU, tables_of(wine[1]))
    opened = open_page(page_of(tmp_path, wine[1], **{"data-seed": 1}))
    assert opened.page.locator("#explored-plot").count() == 0
    assert "of another problem or data, and is not shown" in opened.text("#explored")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("examples.csv", (",easy,", ",odd,"), r"examples.csv:\d+: region is none of easy, "),
        (
            "examples.csv",
            (",constant,0,", ",constant,nan,"),
            r"examples.csv:2: example is 'nan', not a",
        ),
        ("examples.csv", (",margin,", ",other,"), r"examples.csv:1: .*margin"),
        ("settings.csv", ("gd,", "gd,,"), r"settings.csv:2: it has \d+ cells, the header \d+"),
        ("settings.csv", (",seeds,", ",other,"), r"settings.csv:1: .*seeds"),
    ],
)
def test_a_damaged_line_is_named(
    wine: tuple[Path, Exploration], tmp_path: Path, name: str, change: tuple[str, str], said: str
) -> None:
    write(tmp_path / "explore", wine[1], CPU, tables_of(wine[1]))
    page_of(tmp_path, wine[1])
    file = tmp_path / "explore" / name
    file.write_text(file.read_text().replace(*change, 1))
    with pytest.raises(UserError, match=said):
        page_bytes(tmp_path)


@pytest.mark.parametrize("manifest", [None, "", "[]", "[" * 100_000, '{"study": "other"}'])
def test_what_is_not_whole_is_not_shown(
    wine: tuple[Path, Exploration], tmp_path: Path, manifest: str | None
) -> None:
    write(tmp_path / "explore", wine[1], CPU, tables_of(wine[1]))
    page_of(tmp_path, wine[1])
    file = tmp_path / "explore" / "manifest.json"
    if manifest is None:
        file.unlink()
    else:
        file.write_text(manifest)
    assert b'id="explored-plot"' not in page_bytes(tmp_path)
