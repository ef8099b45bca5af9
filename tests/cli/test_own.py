"""Problems, optimizers and schedules of the user's own: who runs their files, and who does not."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.command_line import Shell, gdcli
from tests.own_code import BOWL, CHOOSING, NET, RULE, SCHEDULE, write

RUN = ("run", "./my_bowl.py", "--lr", "0.1,0.2", "--epochs", "5", "--name", "own")
ALL = (*RUN, "--optimizer", "vanilla,./my_rule.py", "--schedule", "constant,./halving.py")


@pytest.fixture
def shell(shell: Shell) -> Shell:
    """Return a shell in a folder with a problem, an optimizer and a schedule."""
    write(shell.folder, "my_bowl.py", BOWL, marked=True)
    write(shell.folder, "my_rule.py", RULE, marked=True)
    write(shell.folder, "halving.py", SCHEDULE, marked=True)
    return shell


def ran(shell: Shell) -> bool:
    """Return whether a file was run since the last time that this was asked."""
    mark = shell.folder / "ran"
    found = mark.exists()
    mark.unlink(missing_ok=True)
    return found


def manifest() -> dict[str, object]:
    content: dict[str, object] = json.loads(Path("results/own/manifest.json").read_text())
    return content


def test_a_file_is_a_problem_with_its_options_in_the_help(shell: Shell) -> None:
    assert shell("run", "./my_bowl.py", "--help") == 0
    assert shell.out.startswith("Usage: gdcli run ./my_bowl.py [OPTIONS]\n\n  A bowl of one's own.")
    assert "--stiffness NUMBER  how steep it is (more than 0; default: 2)" in shell.out
    (line,) = shell.refuses("run", "./my_bowl.py", "--stiffness", "-1")
    assert line == "--stiffness: -1.0 is not more than 0; give a number of more than 0"


def test_files_are_run_as_gdclis_own_are(shell: Shell) -> None:
    assert shell(*ALL, "--vary", "my-rule.share=0.5,1", "--stiffness", "1", "-q") == 0
    rows = list(csv.DictReader(io.StringIO(Path("results/own/summary.csv").read_text())))
    assert len(rows) == 2 * 2 * 3
    by = {(r["optimizer"], r["my_rule.share"], r["schedule"], r["lr"]): r for r in rows}
    plain, whole = by["vanilla", "", "constant", "0.2"], by["my-rule", "1.0", "constant", "0.2"]
    half, small = by["my-rule", "0.5", "constant", "0.2"], by["vanilla", "", "constant", "0.1"]
    name = "final_train_loss"
    assert float(plain[name]) == pytest.approx(float(plain["initial_train_loss"]) * 0.8**10)
    assert (plain[name], small[name]) == (whole[name], half[name])
    assert float(by["vanilla", "", "halving", "0.2"][name]) > float(plain[name])
    for command in (("show", "own"), ("report", "own"), ("verify", "own")):
        assert shell(*command) == 0


def test_an_option_may_have_the_name_of_a_built_in_one(shell: Shell) -> None:
    text = BOWL.replace("stiffness", "scale")
    Path("scaled.py").write_text(text)
    assert shell("run", "./scaled.py", "--epochs", "2", "--name", "scaled", "-q") == 0
    assert shell("show", "scaled") == 0


def test_a_class_that_can_be_imported_is_a_problem_too(shell: Shell) -> None:
    done = gdcli("run", "my_bowl:MyBowl", "-q", "--format", "csv", folder=shell.folder)
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (shell.folder / "results").iterdir()
    assert folder.name.startswith("my-bowl-")
    done = gdcli("run", "my_bowl:Nothing", folder=shell.folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: gdcli run: 'my_bowl' has no problem 'Nothing'; ")
    done = gdcli("run", "no.such:Thing", folder=shell.folder)
    assert "'no.such' cannot be imported: ModuleNotFoundError" in done.stderr


def test_only_commands_that_need_a_file_run_it(shell: Shell) -> None:
    assert shell(*ALL, "-q") == 0
    assert ran(shell)
    assert shell("run", "./my_bowl.py", "--lr", "0.1,0.2", "--name", "other", "-q") == 0
    ran(shell)
    # In processes of their own: this one has the files' classes already.
    for command in (
        ("problems",),
        ("optimizers", "--format", "json"),
        ("run", "--help"),
        ("runs",),
        ("show", "own"),
        ("show", "own", "--view", "why"),
        ("report", "own"),
        ("plot", "own"),
        ("compare", "own", "other"),
        ("verify", "own", "--against", "own"),
        ("run", "quadratic", "--dry-run"),
    ):
        done = gdcli(*command, folder=shell.folder)
        assert done.returncode == 0, done.stderr
        assert not ran(shell), command
    assert shell("problems", "./my_bowl.py") == 2
    words = {"COMP_WORDS": "gdcli run ./my_bowl.py --sti", "COMP_CWORD": "3"}
    gdcli(folder=shell.folder, _GDCLI_COMPLETE="complete_bash", **words)
    assert not ran(shell)
    assert gdcli("verify", "own", folder=shell.folder).returncode == 1
    assert not ran(shell)
    assert gdcli("verify", "own", "--trust", folder=shell.folder).returncode == 0
    assert ran(shell)


def test_an_edited_file_is_refused_where_a_run_would_go_on(shell: Shell) -> None:
    assert shell(*ALL, "-q") == 0
    before = manifest()
    assert set(before["code"]) == {"problem my-bowl", "optimizer my-rule", "schedule halving"}  # type: ignore[call-overload]
    assert shell(*ALL, "-q") == 0  # the same again
    write(shell.folder, "my_rule.py", f"{RULE}\n# another version\n")
    (line,) = shell.refuses(*ALL, "-q")
    assert line == (
        "--name: results/own holds another run, which differs in the code of optimizer my-rule; "
        "give another --name, or --overwrite to start again"
    )
    assert shell("verify", "own") == 1
    assert shell("verify", "own", "--trust") == 3
    assert "the code of optimizer my-rule is not what it was made with" in shell.out
    (line,) = shell.refuses("run", "quadratic", "--reuse", "own", "-q")
    assert "optimizer '" in line
    assert line.endswith("read that code, then add --trust to run it")
    (line,) = shell.refuses("run", "quadratic", "--reuse", "own", "--trust", "-q")
    assert "the code of optimizer my-rule is not what it was made with" in line
    assert shell(*ALL, "-q", "--overwrite") == 0
    after = manifest()
    assert before["code"] != after["code"]
    assert before["experiment"] == after["experiment"]


def test_a_run_is_found_and_verified_from_elsewhere(shell: Shell, tmp_path: Path) -> None:
    assert shell(*ALL, "-q", "--save", "own.toml") == 0
    assert 'name = "./my_bowl.py"' in Path("own.toml").read_text()
    assert 'optimizer = ["vanilla", "./my_rule.py"]' in Path("own.toml").read_text()
    assert shell("sweep", "own.toml", "-q") == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = gdcli("verify", str(shell.folder / "results/own"), "--trust", folder=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    done = gdcli("sweep", "../results/own/experiment.toml", "-q", folder=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    made, again = (
        f / "curves.csv" for f in (Path("results/own"), elsewhere / "results/experiment")
    )
    assert made.read_bytes() == again.read_bytes()


def test_workers_shards_and_merge_run_the_files(shell: Shell) -> None:
    assert shell(*ALL, "-q") == 0
    whole = Path("results/own/curves.csv").read_bytes()
    assert shell(*ALL[:-6], "--name", "many", *ALL[-4:], "--workers", "2", "-q") == 0
    assert Path("results/many/curves.csv").read_bytes() == whole
    for part in "12":
        parts = ("--shard", f"{part}/2", "--name", f"part-{part}", "-q")
        assert shell(*ALL[:-6], *ALL[-4:], *parts) == 0
    assert shell("merge", "results/part-1", "results/part-2", "-o", "merged", "-q") == 0
    assert Path("merged/curves.csv").read_bytes() == whole
    write(shell.folder, "halving.py", SCHEDULE + "\n")
    (line,) = shell.refuses("merge", "results/part-1", "results/part-2", "-o", "again")
    assert "the code of schedule halving is not what it was made with" in line


def test_a_range_test_and_a_landscape_take_a_file(shell: Shell) -> None:
    done = shell("lr-range", "./my_bowl.py", "--optimizer", "./my_rule.py", "-q", "--steps", "20")
    assert done == 0
    assert "my-rule" in shell.out
    assert shell("landscape", "./my_bowl.py", "--lr", "0.1", "-q", "--format", "csv") == 0


WRONG = {
    "syntax": (
        RULE + "def (:\n",
        r"my_rule.py:\d+: it is not Python: invalid syntax; correct the file",
    ),
    "nul": ("x = 1\x00\n", r"my_rule.py:1: it is not Python: .*null bytes"),
    "import": (
        RULE.replace("from typing", "import no_such_module\nfrom typing"),
        r"my_rule.py:6: running it raised ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "exit": (
        "import sys\nsys.exit(7)\n",
        r"my_rule.py:2: running it raised SystemExit: 7; correct the file",
    ),
    "base": ("raise BaseException('odd')\n", r"my_rule.py:1: running it raised BaseException: odd"),
    "nothing": ("x = 1\n", r"my_rule.py:1: it holds no optimizer: .*gdcli new optimizer NAME"),
    "two": (
        RULE + RULE.partition("\n\n\n")[2].replace("MyRule", "Second"),
        r"my_rule.py:\d+: it holds more than one optimizer: MyRule and Second; leave one",
    ),
    "abstract": (RULE.replace("update", "upgrade"), r"its class MyRule lacks update; see "),
    "plain": (
        RULE.replace("@dataclass(frozen=True)", ""),
        r"MyRule is not a frozen dataclass; write",
    ),
    "default": (
        RULE.replace(" = 0.5", "")
        .replace("(Optimizer)", "(Optimizer)")
        .replace("@dataclass(frozen=True)", "@dataclass(frozen=True, kw_only=True)"),
        r"its field share has no default; give it one",
    ),
    "kind": (RULE.replace('float, "share', 'dict, "share'), r"field share is of a kind .* dict"),
    "name": (RULE.replace("share: A", "_share: A"), r"its field '_share' cannot be an option"),
    "unknown": (
        RULE.replace("[float,", "[Folat,"),
        r"its fields are not options: NameError: .*Folat",
    ),
    "escape": ("raise ValueError('\\x1b[31m[red]no[/red]')\n", r"ValueError: \\x1b\[31m\[red\]no"),
    "encoding": ("# coding: nonsense\n", r"my_rule.py:\d: it is not Python: .*nonsense"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_wrong_is_told_in_one_line(shell: Shell, text: str, said: str) -> None:
    write(shell.folder, "my_rule.py", text)
    (line,) = shell.refuses("run", "quadratic", "--optimizer", "my_rule.py")
    assert re.search(said, line), line
    assert line.startswith("my_rule.py:")


LOUD = """
import os, sys
def shout():
    print('python')
    sys.__stdout__.write('dunder\\n')
    os.write(1, b'descriptor\\n')
    os.system('echo process')
shout()
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_however_a_file_prints_it_is_not_among_the_results(shell: Shell, workers: str) -> None:
    rule = RULE.replace("return", "shout()\n        return")
    assert rule != RULE
    write(shell.folder, "my_rule.py", rule + LOUD)
    command = (*RUN, "--seed", "0:3", "--optimizer", "./my_rule.py", "--format", "csv")
    done = gdcli(*command, "--workers", workers, folder=shell.folder)
    assert done.returncode == 0, done.stderr
    assert not {"python", "dunder", "descriptor", "process"} & set(done.stdout.split())
    assert {"python", "dunder", "descriptor", "process"} <= set(done.stderr.split())
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 1
    write(shell.folder, "my_bowl.py", BOWL + LOUD)
    done = gdcli("run", "./my_bowl.py", "--help", folder=shell.folder)
    assert done.stdout.startswith("Usage: gdcli run ./my_bowl.py")


BYE = "import atexit\natexit.register(print, 'python')\n"
TWICE = "import os\nos.fork()\n"


@pytest.mark.parametrize("code", [BYE, TWICE], ids=["at exit", "a copy of the process"])
def test_nor_is_what_is_printed_by_the_way(shell: Shell, code: str) -> None:
    write(shell.folder, "my_rule.py", RULE + code)
    command = [*RUN, "--optimizer", "./my_rule.py", "--format", "csv"]
    whole = [sys.executable, "-m", "gdcli", *command]  # to the very end of the process
    done = subprocess.run(whole, cwd=shell.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 1
    assert "python" not in done.stdout


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_does_not_move_the_results(shell: Shell, *, inside: bool) -> None:
    (shell.folder / "elsewhere").mkdir()
    moves = "import os\ndef move():\n    os.chdir('elsewhere')\n"
    init = "return {" if inside else "no such text"
    text = BOWL.replace(init, f"move()\n        {init}") + moves + ("" if inside else "move()\n")
    write(shell.folder, "my_bowl.py", text)
    done = gdcli("run", "./my_bowl.py", "--epochs", "2", folder=shell.folder)
    assert done.returncode == 2
    assert "os.chdir moves the place that gdcli's paths count from" in done.stderr
    assert "use absolute paths, or contextlib.chdir" in done.stderr
    assert not list((shell.folder / "elsewhere").iterdir())


def test_a_file_may_go_elsewhere_and_come_back(shell: Shell) -> None:
    back = "import contextlib\nwith contextlib.chdir('/'):\n    pass\n"
    write(shell.folder, "my_bowl.py", BOWL + back)
    done = gdcli("run", "./my_bowl.py", "--epochs", "2", "--name", "a", folder=shell.folder)
    assert done.returncode == 0, done.stderr
    assert (shell.folder / "results" / "a" / "summary.csv").exists()


def test_a_trial_that_says_much_is_read_again(shell: Shell) -> None:
    raising = BOWL.replace("return 0.5 * self.stiff", "raise ValueError('x' * 200_000)  # ")
    assert raising != BOWL
    write(shell.folder, "my_bowl.py", raising)
    assert shell("run", "./my_bowl.py", "--epochs", "2", "--name", "a") == 1
    assert "1 of 1 trial failed" in shell.err
    assert len(shell.err) < 5000
    assert shell("show", "a") == 0


def test_a_method_of_other_arguments_is_named_with_its_place(shell: Shell) -> None:
    write(shell.folder, "my_bowl.py", BOWL.replace("def init(self, rng", "def init(self, *, rng"))
    assert shell("run", "./my_bowl.py", "--dry-run") == 2
    (line,) = shell.errors
    assert line.startswith("error: my_bowl.py:")
    assert "init() takes 1 positional argument but 3 were given; mend it" in line


def test_what_a_file_prints_is_not_among_the_results(shell: Shell) -> None:
    write(shell.folder, "my_rule.py", RULE + "print('hello')\n")
    command = ("run", "quadratic", "--optimizer", "./my_rule.py", "--epochs", "2", "--quiet")
    assert shell(*command, "--name", "a") == 0
    assert shell.out == "results/a\n"
    assert "hello" in shell.err


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("./nothing.py", "'nothing.py': no such file or directory; give the path of a Python file"),
        ("./folder.py", "'folder.py': it is a directory; "),
        ("a/b", "does not end in .py; "),
        ("./[bold]x.py", r"would be called '[bold]x' in results; name it with A-Z"),
        ("./a\x1b[31m.py", r"a\x1b[31m.py' would be called 'a\x1b[31m' in results"),
        ("./a.b.py", "would be called 'a.b' in results; "),
        ("./adam.py", "adam.py' would be called adam, as another optimizer is; give it another"),
        ("./../{0}/my_rule.py,./my_rule.py", "is called my-rule, as another one of the grid is"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(shell: Shell, reference: str, said: str) -> None:
    Path("folder.py").mkdir()
    for name in ("adam.py", "[bold]x.py", "a.b.py"):
        write(shell.folder, name, RULE)
    write(shell.folder, "my_rule.py", RULE)
    given = reference.format(shell.folder.name)
    (line,) = shell.refuses("run", "quadratic", "--optimizer", given)
    assert line.startswith("--optimizer: ")
    assert said in line


def test_an_option_that_the_command_has_itself_is_refused(shell: Shell) -> None:
    write(shell.folder, "my_bowl.py", BOWL.replace("stiffness", "lr"))
    (line,) = shell.refuses("run", "./my_bowl.py")
    assert line.startswith("my_bowl.py: its option --lr is also an option of gdcli run; ")


def test_texts_of_a_file_are_shown_as_they_stand(shell: Shell) -> None:
    odd = "[bold]how[/bold] \\x1b]0;steep\\x07 it is"
    text = BOWL.replace("how steep it is", odd).replace("A bowl", "A [red]bowl[/red]\\x1b[31m")
    write(shell.folder, "my_bowl.py", text)
    assert shell("run", "./my_bowl.py", "--help") == 0
    assert "A [red]bowl[/red]\\x1b[31m of one's own." in shell.out
    assert "[bold]how[/bold]" in shell.out
    assert not {"\x1b", "\x07"} & set(shell.out)


def test_what_a_file_raises_later_names_its_line(shell: Shell) -> None:
    text = BOWL.replace("return {", "raise ValueError('no start')\n        return {")
    write(shell.folder, "my_bowl.py", text)
    (line,) = shell.refuses(*RUN)
    assert re.match(r"my_bowl.py:23: ValueError: no start; mend it", line), line


def test_a_file_may_hold_a_problem_and_a_rule(shell: Shell) -> None:
    write(shell.folder, "both.py", BOWL + RULE.partition("annotations\n")[2])
    assert shell("run", "./both.py", "--optimizer", "./both.py", "-q") == 0
    (line,) = shell.refuses("run", "./both.py", "--optimizer", "both.py,./both.py")
    assert "'both.py' is given twice" in line or "is called both" in line


@pytest.mark.parametrize("optimizer", ["adam", "torch:Adam"])
def test_a_landscape_has_the_running_statistics_of_the_lowest_end(
    shell: Shell, optimizer: str
) -> None:
    write(shell.folder, "my_net.py", NET.format(layer="nn.BatchNorm1d(4, affine=False)"))
    options = ("--epochs", "3", "--lr", "0.01,0.02", "--optimizer", optimizer, "-q")
    view = ("--resolution", "3", "--x-range", "-1,1", "--y-range", "-1,1", "-o", "plane.csv")
    assert shell("landscape", "./my_net.py", *options, *view) == 0
    plane, ways = pd.read_csv("plane.csv"), pd.read_csv("plane-ways.csv")
    lowest = ways.groupby("trial")["train_loss"].last().min()
    middle = plane[(plane["x"] == 0) & (plane["y"] == 0)]["train_loss"].item()
    assert middle == pytest.approx(lowest, rel=1e-5)
    assert "running statistics" in json.loads(Path("plane.json").read_text())["plane"]
    assert len(set(plane["train_loss"])) == 9


def test_what_cannot_be_stacked_is_said_in_one_line(shell: Shell) -> None:
    layer = "Choosing()"
    text = NET.format(layer=layer) + CHOOSING
    write(shell.folder, "my_net.py", text)
    assert shell("run", "./my_net.py", "--epochs", "2", "--lr", "0.1,0.2", "--name", "own") == 0
    why = "what it computes depends on its values, as by an if or .item()"
    assert shell.errors == [
        f"my-net cannot be stacked ({why}): its trials run one at a time",
        "the results are in results/own",
    ]
    paths = manifest()["engine"]["paths"]  # type: ignore[index]
    assert paths == {"gd vanilla": ["module of one trial at a time on torch, step by step"]}
    assert shell("run", "./my_net.py", "--epochs", "2", "--overwrite", "--name", "own", "-q") == 0
    assert not shell.err
    assert shell("lr-range", "./my_net.py", "--steps", "9") == 0
    assert "cannot be stacked" in shell.err


def test_a_class_of_torch_is_compared_in_one_grid(shell: Shell) -> None:
    rules = ("--optimizer", "adam,torch:Adam", "--epochs", "9")
    assert shell("run", "quadratic", *rules, "--name", "own", "-q", "--format", "csv") == 0
    ours, theirs = (line.split(",") for line in shell.out.splitlines()[1:])
    assert (ours[2], theirs[2]) == ("adam", "torch:Adam")
    assert float(ours[6]) == pytest.approx(float(theirs[6]), rel=1e-10)
    for command in (("show", "own"), ("show", "own", "--view", "why"), ("verify", "own")):
        assert shell(*command) == 0
    for command in (("lr-range", "quadratic", "--steps", "9"), ("landscape", "mlp")):
        small = ("--dataset", "iris", "--resolution", "3", "--directions", "random")
        more = small if command[0] == "landscape" else ()
        rule = ("--optimizer", "torch:Adamax", "-q", "--format", "csv")
        budget = ("--epochs", "3") if more else ()
        assert shell(*command, *rule, *more, *budget) == 0


def test_a_rule_in_torch_moves_problems_of_numpy(shell: Shell) -> None:
    text = RULE.replace("self.share * grad", "self.share * torch.clone(grad)")
    text = text.replace("from typing import", "import torch\nfrom typing import")
    write(shell.folder, "my_rule.py", text)
    command = ("run", "./my_bowl.py", "--optimizer", "./my_rule.py,vanilla", "--epochs", "4", "-q")
    assert shell(*command, "--name", "own") == 1
    assert "TypeError" in shell.err
    assert shell("check", "./my_rule.py") == 1
    moved = text.replace("    share: A", "    needs_torch = True\n    share: A")
    write(shell.folder, "my_rule.py", moved)
    assert shell("check", "./my_rule.py") == 0
    assert shell(*command, "--name", "moved") == 0
    content = json.loads(Path("results/moved/manifest.json").read_text())
    ways = [
        path.split(" on ")[1].partition(",")[0] for (path,) in content["engine"]["paths"].values()
    ]
    assert ways == ["torch", "NumPy"]
    assert "torch" in content["fingerprint"]
    assert shell("verify", "moved") == 0


def test_an_unfinished_run_is_listed_and_exported_without_its_file(shell: Shell) -> None:
    assert shell(*RUN, "--optimizer", "vanilla,./my_rule.py", "--shard", "1/2", "-q") == 0
    ran(shell)
    done = gdcli("runs", folder=shell.folder)
    assert (done.returncode, "partial" in done.stdout) == (0, True)
    assert not ran(shell)
    assert "2/4" in done.stdout
    done = gdcli("export", "own", "--to", "json", folder=shell.folder)
    assert (done.returncode, '"state": "partial"' in done.stdout) == (0, True)
    assert not ran(shell)


@pytest.mark.parametrize("layer", ["nn.Dropout(0.3)", "nn.BatchNorm1d(4)", "Choosing()"])
def test_the_examples_of_a_file_can_be_explored(shell: Shell, layer: str) -> None:
    write(shell.folder, "my_net.py", NET.format(layer=layer) + CHOOSING)
    assert shell("explore", "./my_net.py", "--epochs", "3", "-q", "--format", "csv") == 0
    assert shell.out.startswith("method,")
    (folder,) = (shell.folder / "results").iterdir()
    assert folder.name.startswith("explore-my-net-")
    (line,) = shell.refuses("explore", "./my_net.py", "--optimizer", "adam,torch:Adamax")
    assert line.startswith("--optimizer: torch:Adamax trains each trial by itself, ")
