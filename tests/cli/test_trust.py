"""Folders of strangers: nothing that they name is run, and what was not done is said."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from gdcli.catalog import user_code
from gdcli.cli import options
from gdcli.problem import Problem
from tests.cli.command_line import Shell, gdcli
from tests.own_code import BOWL, write

RUN = ("run", "./my_bowl.py", "--lr", "0.1,0.2", "--epochs", "5", "-q")
ENDED = BOWL.replace("        return 0.5", "        {}\n        return 0.5")


@pytest.fixture
def shell(shell: Shell) -> Shell:
    """Return a shell in whose folder a file was run, whole and in part; it tells if it is again."""
    write(shell.folder, "my_bowl.py", BOWL, marked=True)
    assert gdcli(*RUN, "--name", "whole", folder=shell.folder).returncode == 0
    part = ("--optimizer", "vanilla,adam", "--shard", "1/2", "--name", "part")
    assert gdcli(*RUN, *part, folder=shell.folder).returncode == 0
    (shell.folder / "ran").unlink()
    return shell


def forged(shell: Shell, name: str) -> Path:
    """Return a copy of a run that does not say that there is code."""
    folder = Path(shutil.copytree(shell.folder / "results" / name, shell.folder / f"forged-{name}"))
    for file in (folder / "manifest.json", folder / ".gdcli" / "spec.json"):
        if file.exists():
            content = json.loads(file.read_text())
            del content["code"]
            content.pop("columns", None)
            file.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "command",
    [
        *(("runs", "."), ("runs", "WHOLE"), ("show", "WHOLE"), ("report", "WHOLE")),
        *(("plot", "WHOLE"), ("compare", "WHOLE", "results/whole"), ("export", "PART")),
        *(("export", "WHOLE"), ("merge", "PART", "-o", "new", "-q"), ("verify", "WHOLE")),
        ("merge", "WHOLE", "-o", "new", "-q"),
        ("verify", "WHOLE", "--against", "results/whole"),
        ("run", "quadratic", "--reuse", "WHOLE", "-q"),
        ("run", "quadratic", "--reuse", "PART", "-q"),
    ],
)
def test_no_command_runs_what_a_folder_names(shell: Shell, command: tuple[str, ...]) -> None:
    places = {"WHOLE": str(forged(shell, "whole")), "PART": str(forged(shell, "part"))}
    done = gdcli(*(places.get(word, word) for word in command), folder=shell.folder)
    assert not (shell.folder / "ran").exists()
    assert done.returncode in (0, 1, 2, 3)
    assert "internal error" not in done.stderr


def test_a_file_that_was_changed_is_not_run_even_with_trust(shell: Shell) -> None:
    write(shell.folder, "my_bowl.py", BOWL + "# changed\n", marked=True)
    for command in (
        ("verify", "whole", "--trust"),
        ("merge", "part", "-o", "new", "--trust"),
        ("run", "quadratic", "--reuse", "part", "--trust"),
    ):
        done = gdcli(*command, folder=shell.folder)
        assert done.returncode in (2, 3)
        assert "is not what it was made with" in done.stdout + done.stderr
        assert not (shell.folder / "ran").exists()


def test_verify_says_what_it_did_not_do(shell: Shell) -> None:
    done = gdcli("verify", "whole", folder=shell.folder)
    assert done.returncode == 1
    assert "checksums hold" in done.stdout
    assert "1 of 1 whole; they make the tables" in done.stdout
    assert done.stdout.count("not done") == 4  # experiment, columns, trials and rerun
    assert gdcli("verify", "whole", "--trust", folder=shell.folder).returncode == 0
    (shell.folder / "results" / "whole" / "summary.csv").write_text("trial\n")
    assert gdcli("verify", "whole", folder=shell.folder).returncode == 3


def test_ones_own_file_is_reused_without_a_word(shell: Shell) -> None:
    done = gdcli(*RUN, "--reuse", "part", "--name", "new", folder=shell.folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_columns_that_changed_places_are_found(shell: Shell) -> None:
    assert shell("run", "quadratic", "--lr", "0.1", "--epochs", "3", "--name", "bowl", "-q") == 0
    folder = shell.folder / "results" / "bowl"
    shutil.rmtree(folder / ".gdcli")
    table, manifest = folder / "curves.csv", folder / "manifest.json"
    text = table.read_text().replace("train_loss,grad_norm", "grad_norm,train_loss", 1)
    table.write_text(text)
    content = json.loads(manifest.read_text())
    digest = hashlib.sha256(text.encode()).hexdigest()
    content["files"]["curves.csv"] = {"bytes": len(text), "sha256": digest}
    manifest.write_text(json.dumps(content))
    assert shell("verify", "bowl") == 3
    assert "column 'grad_norm' is where 'train_loss' belongs" in shell.out


@pytest.mark.parametrize("number", [1, 4, 99])
def test_another_format_is_refused(shell: Shell, number: int) -> None:
    assert shell("run", "quadratic", "--lr", "0.1", "--epochs", "3", "--name", "bowl", "-q") == 0
    for file in (Path("results/bowl/manifest.json"), Path("results/bowl/.gdcli/spec.json")):
        file.write_text(file.read_text().replace('"format": 3', f'"format": {number}'))
    (line,) = shell.refuses("show", "bowl")
    assert f"it is of format {number}, and this gdcli reads 2 and 3 here" in line
    (line,) = shell.refuses("merge", "bowl", "-o", "new")
    assert f"it is of format {number}, and this gdcli reads 3 here" in line


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "ending",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "import os; os.execv('/bin/true', ['t'])",
        "import os; os.execlp('true', 't')",
    ],
)
def test_a_file_that_ends_the_process_is_no_success(
    shell: Shell, ending: str, workers: str
) -> None:
    write(shell.folder, "my_bowl.py", ENDED.replace("{}", ending))
    given = ("--optimizer", "vanilla,adam", "--workers", workers, "--name", "ended")
    done = gdcli(*RUN, *given, folder=shell.folder)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: my_bowl.py:")


def test_what_is_run_is_what_was_looked_at(tmp_path: Path) -> None:
    file = write(tmp_path, "bowl.py", BOWL)
    code = {"problem bowl": hashlib.sha256(file.read_bytes()).hexdigest()}
    user_code.Stranger("spec.json", code, trust=True).admit("problem", str(file))
    write(tmp_path, "bowl.py", f"raise RuntimeError\n{BOWL}")
    assert user_code.find(str(file), Problem, "it").__name__ == "MyBowl"


def test_a_module_that_was_changed_is_not_imported_even_with_trust(shell: Shell) -> None:
    write(shell.folder, "bowls.py", BOWL)
    given = ("run", "bowls:MyBowl", "--lr", "0.1", "--epochs", "3", "--name", "module", "-q")
    assert gdcli(*given, folder=shell.folder).returncode == 0
    done = gdcli("verify", "module", "--trust", folder=shell.folder)
    assert done.returncode == 0, done.stdout
    write(shell.folder, "bowls.py", BOWL + "# changed\n", marked=True)
    done = gdcli("verify", "module", "--trust", folder=shell.folder)
    assert done.returncode == 3
    assert "is not what it was made with" in done.stdout
    assert not (shell.folder / "ran").exists()


def test_a_shell_is_offered_no_name_that_it_would_run(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder)
    for name in ("$(touch ran)", "`touch ran`", "a\\$b", "-q", "a b", "\x1b[2J", "plain"):
        Path("results", name, ".gdcli").mkdir(parents=True)
        Path("results", name, ".gdcli", "spec.json").touch()
    assert options.runs() == ["part", "plain", "whole"]
