"""Installed packages add problems, optimizers and schedules; listings import none of them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.catalog.test_composed import HALVES
from tests.cli.command_line import gdcli
from tests.own_code import BOWL, MARKED, RULE, SCHEDULE

if TYPE_CHECKING:
    from pathlib import Path

FUTURE = "from __future__ import annotations\n"
POINTS = """
[gdcli.problems]
plug-bowl = plug.problems.bowl:MyBowl
quadratic = plug.problems.bowl:MyBowl
../evil = plug.problems.bowl:MyBowl

[gdcli.optimizers]
plug-rule = plug.rule
broken = plug.broken:Rule

[gdcli.wrappers]
plug-halves = plug.halves

[gdcli.schedules]
plug_halving = plug.halving:Halving
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with an installed package, as pip leaves it."""
    package = tmp_path / "site" / "plug"
    (package / "problems").mkdir(parents=True)
    for name, text in {
        "__init__.py": FUTURE,
        "problems/__init__.py": FUTURE,
        "problems/bowl.py": BOWL.replace("A bowl", "A [bold]\\x1b[31mbowl"),
        "rule.py": RULE,
        "halving.py": SCHEDULE,
        "halves.py": HALVES,
        "broken.py": '"""Broken."""\n' + FUTURE + "import no_such_module\n",
    }.items():
        (package / name).write_text(text.replace(FUTURE, FUTURE + MARKED, 1))
    info = tmp_path / "site" / "plug-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "work").mkdir()
    return tmp_path / "site"


def shell(site: Path, *arguments: str) -> tuple[int, str, str, bool]:
    """Run a command with the package installed; return also whether the package was imported."""
    work = site.parent / "work"
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(site)])
    done = gdcli(*arguments, folder=work, PYTHONPATH=path)
    ran = (work / "ran").exists()
    (work / "ran").unlink(missing_ok=True)
    return done.returncode, done.stdout, done.stderr, ran


def test_listings_have_plugins_and_do_not_import_them(site: Path) -> None:
    code, out, _, ran = shell(site, "problems", "--format", "json")
    found = {row["name"]: row["summary"] for row in json.loads(out)}
    assert (code, ran) == (0, False)
    assert found["plug-bowl"] == "A [bold]\x1b[31mbowl of one's own"
    assert "\x1b" not in out
    assert found["quadratic"].startswith("Quadratic bowl")  # gdcli's own name is gdcli's
    assert "../evil" not in found
    for command in (("optimizers",), ("schedules",), ("run", "--help"), ("--help",)):
        code, out, _, ran = shell(site, *command)
        assert (code, ran) == (0, False)
        assert command[0] in ("run", "--help") or "plug-" in out
    _, out, _, _ = shell(site, "run", "--help")
    assert "A [bold]\\x1b[31mbowl of one's own" in " ".join(out.split())
    assert "\n  From plugins (installed packages):\n    plug-bowl " in out
    _, out, _, _ = shell(site, "optimizers", "--format", "csv")
    assert "broken,Broken\n" in out
    assert "plug-rule,Descent by a share of the gradient\n" in out


def test_a_wrapper_of_a_package_goes_around_any_rule(site: Path) -> None:
    _, out, _, ran = shell(site, "optimizers", "--format", "csv")
    assert not ran
    assert "RULE+plug-halves,Steps of half the length\n" in out
    code, out, _, _ = shell(site, "optimizers", "plug-rule+plug-halves+ema", "--format", "csv")
    assert code == 0
    for option in ("plug-rule.share", "plug-halves.share", "ema.decay"):
        assert f"--vary {option}," in out
    code, _, err, _ = shell(site, "optimizers", "momentum+plug-halfes")
    assert (code, "did you mean 'plug-halves'?" in err) == (2, True)


def test_a_package_whose_source_is_not_to_be_found_is_named(site: Path) -> None:
    (site / "plug" / "rule.py").unlink()
    _, out, _, _ = shell(site, "optimizers", "--format", "csv")
    assert "plug-rule,from plug 1.2\n" in out


def test_plugins_run_and_are_described(site: Path) -> None:
    rules = ("--optimizer", "vanilla,plug-rule", "--schedule", "plug-halving")
    vary = ("--vary", "plug-rule.share=0.5,1", "--stiffness", "3")
    command = ("run", "plug-bowl", *rules, *vary, "--epochs", "3", "--name", "own", "-q")
    code, _, err, _ = shell(site, *command)
    assert (code, err) == (0, "")
    folder = site.parent / "work" / "results" / "own"
    code_of = json.loads((folder / "manifest.json").read_text())["code"]
    assert set(code_of) == {
        *("problem plug-bowl", "optimizer plug-rule", "schedule plug-halving"),
    }
    assert shell(site, "verify", "own")[0] == 0
    assert shell(site, *command, "--workers", "2", "--overwrite")[0] == 0
    _, out, _, ran = shell(site, "show", "own", "--view", "why")
    assert "plug-rule" in out
    assert not ran
    _, out, _, _ = shell(site, "problems", "plug-bowl")
    assert "--stiffness" in out
    assert shell(site, "check", "plug-halving")[0] == 0


def test_what_is_wrong_with_a_plugin_names_its_package(site: Path) -> None:
    code, _, err, _ = shell(site, "run", "quadratic", "--optimizer", "broken")
    assert code == 2
    assert err == (
        "error: --optimizer: the plugin 'broken': 'plug.broken' cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module'; update or uninstall plug 1.2\n"
    )
    other = site / "plug2-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: plug2\nVersion: 0.1\n")
    (other / "entry_points.txt").write_text("[gdcli.optimizers]\nplug-rule = plug.rule:MyRule\n")
    code, _, err, _ = shell(site, "run", "quadratic", "--optimizer", "plug-rule")
    assert code == 2
    assert "'plug-rule' is in more than one package: plug 1.2 and plug2 0.1; uninstall" in err
    code, _, err, _ = shell(site, "run", "quadratic", "--optimizer", "plug-rul")
    assert "did you mean 'plug-rule'?" in err
