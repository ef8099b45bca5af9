"""What answers at once: help, listings and mistakes import nothing heavy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import gdcli
from tests.unmeasured import STARTS_COVERAGE

REPORT = """
code = main()
names = {"matplotlib", "numpy", "torch", "pandas", "pydantic", "sklearn"}
heavy = names & {m.split(".")[0] for m in sys.modules}
problems = [m for m in sys.modules if m.startswith("gdcli.problems.")]
print("imported:", *sorted(heavy), *sorted(problems), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "imported"),
    [
        ((), 0, ""),
        (("--help",), 0, ""),
        (("--version",), 0, ""),
        (("run", "--help"), 0, ""),
        (("run", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("sweep", "--help"), 0, ""),
        (("lr-range", "--help"), 0, ""),
        (("lr-range", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("lr-range", "cnn", "--lr-to", "1e-9"), 2, "gdcli.problems.cnn"),
        (("lr-range", "cnn.toml", "--help"), 0, ""),
        (("lr-range", "cnn.toml"), 2, ""),
        (("landscape", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("landscape", "cnn", "-o", "a.gif"), 2, "gdcli.problems.cnn"),
        (("explore", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("explore", "cnn", "-o", "a.gif"), 2, "gdcli.problems.cnn"),
        (("problems",), 0, ""),
        (("problems", "mlp"), 0, "gdcli.problems.mlp"),
        (("optimizers", "adam", "--format", "json"), 0, ""),
        (("schedules", "--format", "csv"), 0, ""),
        (("rum",), 2, ""),
        (("run", "quadratci"), 2, ""),
        (("run", "cnn", "--lr", "0", "--optimizer", "adm"), 2, "gdcli.problems.cnn"),
        (("run", "cnn", "--lrr", "0"), 2, "gdcli.problems.cnn"),
        (("sweep", "missing.toml"), 2, ""),
        (("show", "nothing"), 2, ""),
        (("verify", "nothing"), 2, ""),
        (("runs",), 0, ""),
        (("runs", "nothing"), 2, ""),
        (("merge", "nothing", "-o", "all"), 2, ""),
        (("compare", "nothing", "more"), 2, ""),
        (("plot", "--help"), 0, ""),
        (("report", "nothing"), 2, ""),
        (("plot", "nothing", "--kind", "sensitivity"), 2, ""),
        (("export", "nothing", "-o", "a.json"), 2, ""),
    ],
    ids=range(34),
)
def test_nothing_heavy_is_imported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    imported: str,
) -> None:
    for name in STARTS_COVERAGE:
        monkeypatch.delenv(name, raising=False)
    done = gdcli(*arguments, folder=tmp_path, code=f"exec({REPORT!r})")
    assert done.stderr.splitlines()[-1] == f"imported: {imported}".rstrip()
    assert done.returncode == code
    assert not list(tmp_path.iterdir())


def test_a_command_is_imported_without_the_others(tmp_path: Path) -> None:
    code = "main(); print(*sorted(m for m in sys.modules if m.startswith('gdcli.')))"
    loaded = gdcli("run", "quadratic", "--help", folder=tmp_path, code=code).stdout.split()
    others = ("sweep", "landscape", "lr_range", "compare", "verify", "report", "merge", "listing")
    assert "gdcli.cli.run" in loaded
    assert not {f"gdcli.cli.{name}" for name in others} & set(loaded)


def test_threads_are_set_before_anything_is_computed(tmp_path: Path) -> None:
    code = "main(); import os; print(*(os.environ[n] for n in sys.argv[1].split(',')[1:]))"
    names = "--version,OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,MKL_NUM_THREADS,MKL_CBWR"
    settings = {"OPENBLAS_NUM_THREADS": "2"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_CBWR"):
        settings[name] = ""
    code = f"import os; [os.environ.pop(n) for n, v in {settings!r}.items() if not v]; {code}"
    done = gdcli(names, folder=tmp_path, code=code, **settings)
    assert done.stdout == "1 1 1 AUTO\n"  # more would change bits


def test_an_interrupted_start_says_nothing(tmp_path: Path) -> None:
    code = """
from gdcli.__main__ import main

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "gdcli.cli.failure":
            raise KeyboardInterrupt

for name in [name for name in sys.modules if name.startswith("gdcli.cli")]:
    del sys.modules[name]
sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""
    done = gdcli("--version", folder=tmp_path, code=f"exec({code!r})")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
