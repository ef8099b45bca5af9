"""The pages of docs/: their commands run, their links lead somewhere, their lists are whole."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gdcli.catalog.catalog import OPTIMIZERS, SCHEDULES, WRAPPERS
from gdcli.cli.app import COMMANDS, main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FENCED = re.compile(r"^ *```console\n(.*?)^ *```", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]+))?\)")


def commands(page: Path) -> list[tuple[str, str]]:
    """Return the commands of a page, each with what the page says that it prints."""
    blocks = (dedent(block) for block in FENCED.findall(page.read_text(encoding="utf-8")))
    parts = [part for block in blocks for part in block.removeprefix("$ ").split("\n$ ")]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def anchors(page: Path) -> set[str]:
    """Return the headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_in_their_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("experiments", "gdcli/datasets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for command, shown in commands(page):
        program, *arguments = shlex.split(command)
        assert program == "gdcli"
        mistake = shown.startswith("error:")
        code = main(arguments)
        out, err = capsys.readouterr()
        assert code == (2 if mistake else 0), f"{command}\n{err}"
        if shown.strip():
            assert (err if mistake else out).strip() == shown.strip()


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "README.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def test_the_readme_says_what_every_command_does() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Commands\n")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table.partition("\n## ")[0], re.MULTILINE)
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(COMMANDS)


def test_every_page_is_linked_from_the_first_one() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {target for target, _ in LINK.findall(text)}
    assert {page.name for page in PAGES} <= {*linked, "README.md"}


SECTION = re.compile(r"^\| `([\w-]+)` \| (.*) \|$", re.MULTILINE)


def explained(begin: str, end: str) -> list[list[str]]:
    """Return the rows between two headings of the formulas: a name, and the other cells."""
    page = (DOCS / "explanation.md").read_text(encoding="utf-8")
    part = page.partition(f"\n## {begin}")[2] or page.partition(f"\n### {begin}")[2]
    assert end in part
    return [[name, *cells.split(" | ")] for name, cells in SECTION.findall(part.partition(end)[0])]


def test_every_rule_is_explained_with_its_learning_rate() -> None:
    rows = {row[0]: row for row in explained("Optimizers", "### Wrappers")}
    assert sorted(rows) == OPTIMIZERS.names()
    for name, (_, update, rate, paper) in rows.items():
        default = OPTIMIZERS.find(name, "").default_lr
        assert rate == ("problem's" if default is None else f"{default:g}"), name
        assert update
        assert re.search(r"\d{4}$", paper), name


def test_every_wrapper_and_schedule_is_explained() -> None:
    wrappers = explained("Wrappers", "### Two losses")
    assert sorted(row[0] for row in wrappers) == WRAPPERS.names()
    assert all(len(row) == 3 and row[1] for row in wrappers)
    schedules = [row[0] for row in explained("Schedules", "## Theory")]
    assert sorted(schedules) == SCHEDULES.names()


def test_the_page_says_which_rules_decay_weights_by_themselves() -> None:
    page = " ".join((DOCS / "explanation.md").read_text(encoding="utf-8").split())
    said = page.partition("It is decoupled in these rules")[2].partition("The default is not 0")[0]
    rules = {name: OPTIMIZERS.find(name, "") for name in OPTIMIZERS.names()}
    assert re.findall(r"`([\w-]+)`", said) == [n for n, rule in rules.items() if rule.decoupled]
    defaults = {n: rule.weight_decay for n, rule in rules.items() if rule.weight_decay}
    assert defaults == {"adamw": 0.01, "muon": 0.1, "nadamw": 0.01, "soap": 0.01}


def test_the_tables_of_losses_are_those_of_the_reference_runs() -> None:
    transcripts = runpy.run_path(str(DOCS / "transcripts.py"), run_name="transcripts")
    tables, losses = transcripts["LOSSES"], transcripts["losses"]
    pages = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    written = {name: tables.sub(losses, text) for name, text in pages.items()}
    assert written == pages, "python docs/transcripts.py"
    assert len(tables.findall(pages["choosing-an-optimizer.md"])) == 4


def test_the_gallery_says_what_its_experiments_say_and_shows_them() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"^## ([a-z-]+)\n\n(.*?)\n\n!\[\1\]\((.*?)\)", page, re.MULTILINE | re.DOTALL
    )
    assert len(shown) == len({*(DOCS / "gallery").iterdir()}) >= 12
    drawn = (DOCS / "pictures.py").read_text(encoding="utf-8")
    for name, about, picture in shown:
        assert f'    "{name}": (' in drawn or f'    "{name}": RATES,' in drawn
        text = (ROOT / "experiments" / f"{name}.toml").read_text(encoding="utf-8")
        comment = text.partition("\n")[2].partition("\n\n")[0]
        assert about == re.sub(r"^# ?", "", comment, flags=re.MULTILINE), name
        assert (DOCS / picture).stat().st_size < 80_000


def test_the_reference_is_built(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DOCS / "build.py", tmp_path], check=True, cwd=ROOT)
    for folder in ("commands", "problems", "optimizers", "schedules", "measures"):
        names = {file.stem for file in (tmp_path / folder).iterdir()} - {"README"}
        listed = re.findall(r"\]\(([\w-]+)\.md\)", (tmp_path / folder / "README.md").read_text())
        assert names == {*listed}
        assert len(names) > (0 if folder == "measures" else 5)
