"""`gdcli export`: a run in the forms of other tools."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import pytest

from tests.cli.command_line import Shell, gdcli

RUN = ("run", "mlp", "--dataset", "iris", "--lr", "0.1,0.2", "--epochs", "2", "--quiet")
PACKAGES = {"parquet": "pyarrow", "tensorboard": "tensorboardX", "mlflow": "mlflow"}
TARGETS = {"json": "json", "parquet": "pyarrow", "tensorboard": "tensorboardX"}  # what each needs


@pytest.fixture
def run(shell: Shell) -> Shell:
    assert shell(*RUN, "--name", "a") == 0
    return shell


def ids(run: Shell) -> list[str]:
    """Return the trials of the run."""
    rows = (run.folder / "results/a/summary.csv").read_text().splitlines()[1:]
    return [row.partition(",")[0] for row in rows]


def test_without_a_place_json_is_printed(run: Shell) -> None:
    assert run("export", "a") == 0
    printed, content = run.out, json.loads(run.out)
    assert [trial["trial"] for trial in content["trials"]] == ids(run)
    assert not run.err
    assert run("export", "results/a", "-o", "a.json") == 0
    assert run.errors == ["2 trials are in a.json"]
    assert (run.folder / "a.json").read_text() == printed


def test_one_trial_is_exported(run: Shell) -> None:
    first, second = ids(run)
    assert run("export", "a", "--trial", second) == 0
    assert [trial["trial"] for trial in json.loads(run.out)["trials"]] == [second]
    assert run("export", "a", "--trial", f"{second},{first}", "-o", "a.json") == 0
    assert run.errors == ["2 trials are in a.json"]


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
sys.exit(main())
"""
KILLED = """
import os, signal
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
main()
"""


@pytest.mark.parametrize("end", [FULL, KILLED], ids=["full", "killed"])
@pytest.mark.parametrize("target", TARGETS)
def test_an_export_that_does_not_end_changes_nothing(run: Shell, target: str, end: str) -> None:
    if find_spec(TARGETS[target]) is None:
        pytest.skip(f"the extra `{target}` is not installed: make test-export")
    place = run.folder / "new" / ("out.json" if target == "json" else "out")
    place.parent.mkdir()
    given = ("export", "a", "--to", target, "-o", str(place))

    def held() -> dict[str, bytes]:
        """Return what whoever looks for an export finds."""
        files = (file for file in place.parent.rglob("*") if file.is_file())
        kept = {str(file.relative_to(place.parent)): file.read_bytes() for file in files}
        return {name: content for name, content in kept.items() if ".tmp-" not in name}

    failed = gdcli(*given, folder=run.folder, code=end)
    assert failed.returncode == (-9 if end is KILLED else 1)
    assert not held()
    assert run(*given) == 0
    before = held()
    assert before
    assert gdcli(*given, "--overwrite", folder=run.folder, code=end).returncode != 0
    assert held() == before
    assert run(*given, "--overwrite") == 0
    if end is FULL:
        assert "file too large" in failed.stderr
        assert not any(".tmp-" in str(file) for file in place.parent.rglob("*"))


@pytest.mark.parametrize("target", TARGETS)
def test_torch_is_not_imported_whatever_the_run(run: Shell, target: str) -> None:
    if find_spec(TARGETS[target]) is None:
        pytest.skip(f"the extra `{target}` is not installed: make test-export")
    (run.folder / "results/a/manifest.json").unlink()  # not finished: read from its batches
    code = "main(); print(*{'torch'} & {*sys.modules}, file=sys.stderr)"
    output = ("--to", target, "-o", "out.json" if target == "json" else "out")
    done = gdcli("export", "a", *output, "--quiet", folder=run.folder, code=code)
    assert (done.stdout, done.stderr) == ("", "\n")


def test_a_run_that_is_not_finished_says_so(shell: Shell) -> None:
    assert shell(*RUN, "--optimizer", "vanilla,adam", "--shard", "2/2", "--name", "a") == 0
    assert shell("export", "a", "-o", "a.json") == 0
    assert shell.errors == ["2 trials are in a.json (the run is not finished)"]
    trials = json.loads((shell.folder / "a.json").read_text())["trials"]
    assert {trial["settings"]["optimizer"] for trial in trials} == {"adam"}


def test_a_run_without_its_spec_has_not_begun(run: Shell) -> None:
    for file in ("manifest.json", ".gdcli/spec.json"):
        (run.folder / "results/a" / file).unlink()
    (line,) = run.refuses("export", "a")
    assert (
        line == "'results/a': the run has not begun; give its command again to continue "
        "it, or gdcli merge its shards"
    )


def test_a_damaged_run_is_refused(run: Shell) -> None:
    with (run.folder / "results/a/curves.csv").open("a") as file:
        file.write("more")
    (line,) = run.refuses("export", "a", "-o", "a.json")
    assert line.startswith("results/a/curves.csv: it is not what the run wrote; ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--to", "csv"), "--to: 'csv' is not one of coefficients, int8, json, mlflow, npz, "),
        (("-o", "a.txt"), "--output: 'a.txt' does not end in .json; name it a.json"),
        (("-o", "no/a.json"), "--output: 'no/a.json' is in no folder that exists; "),
        (("--trial", "x"), "--trial: the run holds no trial 'x'; give ids of summary.csv's first"),
        (("--trial", "x,x"), "--trial: 'x' is given twice; give it once"),
    ],
)
def test_mistakes_are_named(run: Shell, arguments: tuple[str, ...], error: str) -> None:
    (line,) = run.refuses("export", "a", *arguments)
    assert line.startswith(error)


def test_a_trial_that_is_mistyped_is_found(run: Shell) -> None:
    first, _ = ids(run)
    (line,) = run.refuses("export", "a", "--trial", f"{first[:-1]}-")
    assert line.endswith(f"did you mean '{first}'?")


def test_a_file_is_replaced_only_when_asked(run: Shell) -> None:
    assert run("export", "a", "-o", "a.json") == 0
    (line,) = run.refuses("export", "a", "-o", "a.json")
    assert line.startswith("--output: 'a.json' is there already; give another name, or --overwrite")
    assert run("export", "a", "-o", "a.json", "--overwrite") == 0


@pytest.mark.parametrize("target", PACKAGES)
def test_what_is_not_installed_is_told(
    run: Shell, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.delitem(sys.modules, f"gdcli.exports.to_{target}", raising=False)
    package = PACKAGES[target]
    for name in [package, *(m for m in sys.modules if m.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    (line,) = run.refuses("export", "a", "--to", target, "-o", "x")
    assert line.startswith(f"--to: {target} needs {PACKAGES[target]}, which is not installed; ")
    assert line.endswith(f"pip install 'gdcli[{target}]'")


@pytest.mark.parametrize("target", PACKAGES)
def test_what_has_no_place_is_told(run: Shell, target: str) -> None:
    pytest.importorskip(PACKAGES[target], reason=f"the extra `{target}` is not installed")
    (line,) = run.refuses("export", "a", "--to", target)
    assert line.startswith(f"--output: {target} cannot be printed; give ")
