"""A view of `gdcli show`, and one of the page, is one new file: all else finds it by itself."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unmeasured import unmeasured

if TYPE_CHECKING:
    from tests.report.opened import Opens

PACKAGE = Path(__file__).parents[2] / "gdcli"
SHOWN = '''"""How far the loss of each trial fell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.report.run_view import ViewTable, TableView


@dataclass(frozen=True)
class Falls(TableView):
    """How far each loss fell."""

    order = 15
    least_fall: Annotated[float, "smallest fall that is listed"] = 0.0

    def table(self, folder: Path, diagnoses: Diagnoses) -> ViewTable:
        """Return one row a trial."""
        falls = [(t, t.fact("initial_train_loss") - t.loss) for t in diagnoses.run.trials]
        rows = [{"lr": t.lr, "fall": fall} for t, fall in falls if fall >= self.least_fall]
        return ViewTable(rows, ["fall: the loss at the start minus the loss at the end"])
'''
PAGED = '''"""How far the loss of each trial fell."""

from __future__ import annotations

from gdcli.analysis.quantiles import spread
from gdcli.report.page.run_page import Content, PageRun, PageView
from gdcli.report.charts.chart import Chart, Line, Panel


class Falls(PageView):
    """How far each loss fell."""

    name = "falls"
    title = "Falls of <the> loss"
    order = 15

    def content(self, run: PageRun) -> Content:
        """Return a table and a chart."""
        falls = {t.lr: t.fact("initial_train_loss") - t.loss for t in run.source.run.trials}
        line = Line("all <trials>", [(lr, spread([fall])) for lr, fall in falls.items()])
        return Content(
            text=["A loss that fell is <lower> at the end."],
            rows=[{"lr": lr, "fall": fall} for lr, fall in falls.items()],
            chart=Chart("Falls", [Panel("", [line])], "learning rate", "fall", log_y=False),
        )
'''
SCRIPTED = '''"""How many trials there are."""

from __future__ import annotations

from gdcli.report.page.run_page import Content, PageRun, PageView


class Count(PageView):
    """How many trials there are."""

    name = "count"
    title = "Count"
    place = "below"
    order = 5
    template = '<p id="said">{{ word }}</p>'
    script = """
const trials = run.views.count; // as the page calls its own
addView({ make: () => document.getElementById("said").append(` ${trials}`) });
"""

    def content(self, run: PageRun) -> Content:
        """Return the number for the script, a word for the template."""
        return Content(fields={"word": "<Trials>:"}, data=len(run.source.run.trials))
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of gdcli, three views more, and a run called bowl."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "gdcli", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gdcli/report/views/falls.py").write_text(SHOWN)
    (folder / "gdcli/report/page/views/falls.py").write_text(PAGED)
    (folder / "gdcli/report/page/views/count.py").write_text(SCRIPTED)
    gdcli(folder, "run", "quadratic", "--lr", "0.05,0.1", "--epochs", "5", "--name", "bowl", "-q")
    return folder


def gdcli(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run the copy; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gdcli", *arguments],
        cwd=folder,
        env=unmeasured(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_view_of_show_has_help_options_and_every_form(copy: Path) -> None:
    said = " ".join(gdcli(copy, "show", "--help").split())
    assert "--view results|falls|why|" in said
    assert "falls: how far each loss fell;" in said
    assert "--least-fall NUMBER smallest fall that is listed (default: 0)" in said
    table = gdcli(copy, "show", "bowl", "--view", "falls")
    assert "fall: the loss at the start minus the loss at the end" in table
    rows = list(
        csv.DictReader(
            gdcli(copy, "show", "bowl", "--view", "falls", "--format", "csv").splitlines()
        )
    )
    assert [row["lr"] for row in rows] == ["0.05", "0.1"]
    assert all(float(row["fall"]) > 0 for row in rows)
    least = rows[1]["fall"]
    chosen = gdcli(
        copy, "show", "bowl", "--view", "falls", "--least-fall", least, "--format", "json"
    )
    assert [row["lr"] for row in json.loads(chosen)] == [0.1]


def test_its_options_are_refused_elsewhere(copy: Path) -> None:
    said = gdcli(copy, "show", "bowl", "--view", "why", "--least-fall", "1", code=2)
    assert said == "error: --least-fall: --view why does not take it; give --view falls\n"


def test_a_file_without_a_view_is_named(copy: Path) -> None:
    empty = copy / "gdcli/report/views/empty.py"
    empty.write_text("")
    try:
        said = gdcli(copy, "show", "bowl", code=2)
    finally:
        empty.unlink()
    assert said.startswith("error: gdcli/report/views/empty.py:1: it holds no run view: ")


def test_a_view_of_the_page_is_drawn_without_html_or_a_script(copy: Path, open_page: Opens) -> None:
    gdcli(copy, "report", "bowl", "-o", "bowl.html")
    opened = open_page(copy / "bowl.html")
    links = opened.texts("nav a")
    assert links.index("Falls of <the> loss") == links.index("Curves") + 1
    assert "A loss that fell is <lower> at the end." in opened.text("#falls")
    assert opened.drawn("#falls-plot")
    assert opened.text("#falls-caption") == "Falls."
    assert [row.split("\t")[0] for row in opened.texts("#falls table >> nth=0 >> tbody tr")] == [
        "0.05",
        "0.1",
    ]
    opened.page.locator("#falls summary").click()
    assert opened.texts("#falls-numbers tbody tr")[0].startswith("all <trials>\t0.05\t")


def test_a_view_of_the_page_may_have_a_template_and_a_script(copy: Path, open_page: Opens) -> None:
    gdcli(copy, "report", "bowl", "-o", "bowl.html")
    opened = open_page(copy / "bowl.html")
    assert opened.text("#said") == "<Trials>: 2"
    assert opened.text("#chosen") == "2 of 2 trials"
