"""The page as a file: what it holds, how large it is, and that nothing in it is a tag by chance."""

import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from gdcli.errors import UserError
from gdcli.report.page.content import MOST_VALUES, packed, thinned_curves
from gdcli.runs.trials import read_curves
from gdcli.studies.landscape.section import SavedLandscape, SavedPath, landscape_content
from tests.report.pages import (
    EXPERIMENT,
    KNOWN,
    MANIFEST,
    THEORY,
    curves_of,
    write_landscape,
    write_page,
)
from tests.run_folders import Made, descent, grid, write_run

LARGEST = 5_000_000  # bytes of a page of 10,000 trials
HOSTILE = "</script><img src=x onerror=alert(1)>&\x1b[31m"


class Parsed(HTMLParser):
    """The tags of a page, its texts by the tag that they stand in, and its scripts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    @property
    def data(self) -> Any:
        """What the page's script knows."""
        (plain,) = [s for s, (_, a) in zip(self.scripts, self._scripts, strict=True) if "id" in a]
        return json.loads(plain, parse_constant=pytest.fail)

    @property
    def columns(self) -> dict[str, list[str]]:
        """The columns of the table of trials, each with its cells."""
        data = self.data
        return {column["name"]: _cells(column, data["trials"]) for column in data["columns"]}

    def curves(self, metric: str) -> list[list[float]]:
        """The points of each trial, none of one that failed."""
        return curves_of(self.data, metric)

    @property
    def runs(self) -> list[str]:
        """The scripts that a browser runs."""
        pairs = zip(self.scripts, self._scripts, strict=True)
        return [script for script, (_, attrs) in pairs if "id" not in attrs]

    @property
    def _scripts(self) -> list[tuple[str, dict[str, str | None]]]:
        return [(tag, attrs) for tag, attrs in self.tags if tag == "script"]


def _cells(column: dict[str, Any], trials: int) -> list[str]:
    values = column["values"]
    values = values.split(",") if isinstance(values, str) else values
    if "at" in column:
        return [values[place] for place in column["at"]]
    return values * trials if len(values) == 1 else values


def test_it_names_no_other_file_and_allows_its_own_scripts_alone(tmp_path: Path) -> None:
    page = Parsed(write_page(tmp_path, grid()))
    for tag, attrs in page.tags:
        assert "src" not in attrs
        assert tag not in ("link", "base", "iframe")
        assert (attrs.get("href") or "#").startswith("#")
        assert not any(name.startswith("on") for name in attrs)
    (policy,) = [a["content"] or "" for _, a in page.tags if "http-equiv" in a]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashes = [b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.runs]
    assert len(hashes) == 1
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in hashes]
    assert rules["default-src"] == "'none'"
    assert "http" not in policy


def test_it_says_what_ran_and_how_to_run_it_again(tmp_path: Path) -> None:
    trials = [*grid(), Made([], optimizer="adam", status="failed", message="boom")]
    page = Parsed(write_page(tmp_path, trials))
    assert "quadratic: 19 trials, 12 finished, 6 diverged, 1 failed." in page.text
    assert "1 failed: boom" in page.text
    assert str(MANIFEST["equivalent"]) in page.text
    assert EXPERIMENT.strip() in page.text
    assert "X86_V3" in page.text
    assert json.dumps(MANIFEST["fingerprint"], indent=2).splitlines()[1] in page.text


def test_names_from_files_are_text(tmp_path: Path) -> None:
    trials = [
        Made([9.0, 1.0], optimizer=HOSTILE, varied=[HOSTILE], metrics=[0.5]),
        Made([], status="failed", message=HOSTILE, varied=["x"]),
    ]
    experiment = {"problem": HOSTILE}
    folder = tmp_path / "<img onerror=alert(2)>"
    path = write_page(folder, trials, [HOSTILE], [HOSTILE], experiment=experiment, git=HOSTILE)
    plain = Parsed(write_page(tmp_path / "plain", grid(), git="x"))
    page = Parsed(path)
    kinds = {tag for tag, _ in page.tags} - {"ul", "li"}
    assert kinds == {tag for tag, _ in plain.tags} - {"ul", "li"}
    assert "img" not in kinds
    assert "<img onerror=alert(2)>" in page.text
    assert page.text.count("<img src=x onerror=alert(1)>") >= 4
    assert "\x1b" not in path.read_text()
    assert HOSTILE in page.columns["optimizer"]
    assert len(page.scripts) == 2


def test_the_trials_are_those_of_the_run(tmp_path: Path) -> None:
    trials = [
        Made([9.0, 0.1 + 0.2], metrics=[nan], identity="a", varied=["x"]),
        Made([9.0, inf], lr=0.5, status="diverged", metrics=[0.5], identity="b", varied=["x"]),
        Made([], lr=0.5, seed=1, status="failed", message="boom", identity="c", varied=["x"]),
    ]
    page = Parsed(write_page(tmp_path, trials, ["steps"], ["accuracy"]))
    data, columns = page.data, page.columns
    assert columns["trial"] == ["a", "b", "c"]
    assert columns["final_train_loss"] == ["0.30000000000000004", "inf", ""]
    assert columns["steps (varied)"] == ["x", "x", "x"]
    assert data["facets"] == ["lr", "seed"]
    assert data["settings"] == ["gd vanilla steps=x"]
    assert (data["trials"], data["setting"]) == (3, 0)
    assert [metric["name"] for metric in data["metrics"]] == ["train_loss", "accuracy"]
    assert data["epochs"] == [0, 0, None]
    assert data["axes"] == [[0, 1]]
    assert page.curves("train_loss") == [[9, 0.3], [9, inf], []]


def test_curves_keep_their_ends_and_points_that_others_have(tmp_path: Path) -> None:
    lengths = [2_000_000 // MOST_VALUES * 1000, 1001, 3, 1]
    trials = [Made([9.0] * n, seed=n, identity=str(n)) for n in lengths]
    folder = write_run(tmp_path, trials)
    points = read_curves(folder, ("epoch", "train_loss"))
    curves = thinned_curves(points, ["train_loss"], 2000)  # as if there were more
    assert curves.most == 250
    kept = {name: set(epochs) for name, epochs in curves.epochs.items()}
    for length in lengths:
        epochs = kept[str(length)]
        assert {0, length - 1} <= epochs
        assert len(epochs) <= 251
        longest = {epoch for epoch in kept[str(lengths[0])] if epoch < length - 1}
        assert longest <= epochs
    assert curves.step == 16
    assert curves.longest == 4000


def test_columns_are_as_short_as_their_cells_allow(tmp_path: Path) -> None:
    trials = [
        Made([9.0, k / 7], lr=0.1 * 1.5 ** (k % 2), seed=k, varied=[f"{k},{k}", k % 3 == 0])
        for k in range(9)
    ]
    page = Parsed(write_page(tmp_path, trials, ["layers", "bias"]))
    held = {column["name"]: column for column in page.data["columns"]}
    assert held["method"] == {"name": "method", "values": ["gd"]}  # the same of all
    assert held["lr"]["at"] == [0, 1] * 4 + [0]
    assert held["final_train_loss"]["values"] == ",".join(str(k / 7) for k in range(9))
    assert held["layers"]["values"] == [f"{k},{k}" for k in range(9)]  # commas of their own
    assert page.columns["layers"] == held["layers"]["values"]
    assert page.columns["bias"] == [str(k % 3 == 0) for k in range(9)]
    assert page.data["facets"] == ["lr", "seed", "layers", "bias"]


EDGES = [0.0, -0.0, 1.0, -1.0, 9999.4, 99995.0, 1e-5, -123456.0, 5e-324, 1.7976931348623157e308]


def test_values_of_curves_have_four_digits_and_every_power(tmp_path: Path) -> None:
    values = [*EDGES, inf, -inf, nan, *(10.0**k / 3 for k in range(-300, 300, 7))]
    page = Parsed(write_page(tmp_path, [Made([1.0] * len(values), metrics=[0.5])], [], ["m"]))
    assert page.curves("train_loss") == [[1.0] * len(values)]
    data = {"axes": [list(values)], "epochs": 0, "trials": 1, "curves": {"a": packed(values)}}
    (found,) = curves_of(data, "a")
    assert list(map(str, found)) == [str(float(f"{value:.4g}") + 0.0) for value in values]


def test_thinning_is_said_on_the_page(tmp_path: Path) -> None:
    page = Parsed(write_page(tmp_path, [Made([9.0 - k / 1e4 for k in range(5000)])]))
    assert "curves show every 4th of up to 5000 recorded points, the first and the" in page.text
    assert "To keep this page small" not in Parsed(write_page(tmp_path, grid())).text


def test_rows_of_a_trial_that_are_apart_are_refused(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, [Made([9.0, 1.0], seed=seed, identity=f"t{seed}") for seed in (0, 1)]
    )
    file = folder / "curves.csv"
    header, first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([header, *rest, first, ""]))
    points = read_curves(folder, ("epoch", "train_loss"))
    with pytest.raises(UserError, match=r"curves\.csv:5: the rows of its trial do not follow one"):
        thinned_curves(points, ["train_loss"], 2)


def test_what_theory_says_stands_beside_what_was_measured(tmp_path: Path) -> None:
    page = Parsed(write_page(tmp_path, [descent(0.05, epochs=200), descent(0.25)], **KNOWN))
    held, lost = (
        dict(zip(page.data["views"]["theory"]["accounts"], row, strict=True))
        for row in rows_of(page)
    )
    assert (held["limit"], held["formula"], held["exact"]) == (0.2, "2/L", True)
    assert held["rate"] == 0.95
    assert held["measured_rate"] == pytest.approx(0.95, rel=1e-3)
    assert (held["state"], lost["state"], lost["rate"]) == ("flat", "blew up", 1.5)
    assert held["floor"] is held["measured_floor"] is None
    assert "L, largest curvature" in page.text
    assert "constant" in page.text


def rows_of(page: Parsed) -> list[tuple[Any, ...]]:
    return list(zip(*page.data["views"]["theory"]["accounts"].values(), strict=True))


@pytest.mark.parametrize("theory", [[], [{**THEORY, "curvature": None, "minimum": None}]])
def test_where_theory_says_nothing_there_is_no_section(
    tmp_path: Path, theory: list[object]
) -> None:
    page = Parsed(write_page(tmp_path, grid(), **{**KNOWN, "theory": theory}))
    assert "theory" not in page.data["views"]
    assert "Theory against measurement" not in page.text
    assert "Landscape" not in page.text


def test_the_landscape_is_that_of_the_runs_trials(tmp_path: Path) -> None:
    trials = grid(seeds=1)
    write_landscape(tmp_path, [*trials[1:], Made([1.0], identity="of another grid")], lowest=1.0)
    said = {"plane": "the plane of both", "x": "along", "y": "across", "share": 0.75}
    (tmp_path / "landscape.json").write_text(json.dumps(said))
    landscape = Parsed(write_page(tmp_path, trials)).data["views"]["landscape"]
    assert (landscape["plane"], landscape["axes"], landscape["share"]) == (
        said["plane"],
        ["along", "across"],
        0.75,
    )
    assert sorted(path["trial"] for path in landscape["paths"]) == [1, 2, 3, 4, 5]
    assert (landscape["others"], landscape["higher"]) == (1, 0)
    ends = [float(path["losses"][-1]) for path in landscape["paths"]]
    assert ends == sorted(ends)
    assert landscape["paths"][0]["x"][:2] == [1, 0.9]
    assert landscape["losses"][0][0] == 9
    assert landscape["losses"][20][20] == 1
    assert landscape["heights"][0][0] == 1


def test_a_landscape_of_other_trials_is_not_shown(tmp_path: Path) -> None:
    write_landscape(tmp_path, [Made([1.0], identity="of another grid")])
    page = Parsed(write_page(tmp_path, grid()))
    assert (
        "landscape.csv in the run's folder has no path of its trials, and is not shown."
        in page.text
    )
    assert "landscape" not in page.data["views"]


def test_a_large_landscape_is_thinned() -> None:
    side = range(300)
    steps = range(3000)
    ways = [SavedPath("a", steps, steps, [nan] * 3000, [1.0] * 3000, inf)]
    scene = SavedLandscape("all", ("x", "y"), None, side, side, [[inf] * 300] * 300, ways)
    found = landscape_content(scene, ["a"])
    assert found is not None
    assert (found["xs"][0], found["xs"][-1], len(found["xs"])) == (0, 299, 101)
    assert (found["ticks"], found["heights"][0][0], found["losses"][0][0]) == ([], None, "inf")
    (way,) = found["paths"]
    assert (way["steps"][0], way["steps"][-1], len(way["steps"])) == (0, 2999, 500)
    assert (way["y"][0], way["off"]) == (None, "inf")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("landscape.csv", "x,y,train_loss\n0,0,1\n1,0,1\n0,1,1\n2,1,1\n", ":4: the points from"),
        ("landscape.csv", "x,y,train_loss\n0,0,1\n", ":1: it has no two points along each"),
        ("landscape.csv", "x,y,train_loss\nnan,0,1\n", ":2: x is nan, not a finite number"),
        ("landscape.csv", "x,y,loss\n0,0,1\n", ":1: there is no column train_loss"),
        ("landscape-ways.csv", "trial,step,x\n", "-ways.csv:1: there is no column y"),
    ],
)
def test_a_damaged_landscape_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    trials = grid()
    write_landscape(tmp_path, trials)
    (tmp_path / "landscape.json").write_text("[")  # what it says, nothing depends on
    write_page(tmp_path, trials)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(says)):
        write_page(tmp_path, trials)


def test_a_page_is_small(tmp_path: Path) -> None:
    assert write_page(tmp_path, grid(), **KNOWN).stat().st_size < 200_000


def test_a_page_of_ten_thousand_trials_is_small(tmp_path: Path) -> None:
    losses = [1 / (3 + k) ** 5 for k in range(60)]
    trials = [
        Made(losses, lr=0.001 + k / 7e5, seed=s, test_losses=losses, varied=[k / 7, k / 3])
        for k in range(1000)
        for s in range(10)
    ]
    write_landscape(tmp_path, trials)
    page = write_page(tmp_path, trials, ["momentum.beta", "condition"], **KNOWN)
    assert page.stat().st_size < LARGEST
    parsed = Parsed(page)
    data = parsed.data
    assert data["trials"] == 10_000
    assert (len(data["views"]["landscape"]["paths"]), data["views"]["landscape"]["higher"]) == (
        500,
        9500,
    )
    assert len(data["views"]["theory"]["accounts"]["lr"]) == 1000
    assert all(len(curve) > 10 for curve in parsed.curves("train_loss"))
    assert re.search(r"curves show every \d+th of up to 60 ", page.read_text())
