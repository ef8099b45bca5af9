"""What is said of a file of the user's own: on stderr, once, and not where --quiet is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

RUN = "run linear-regression --data t.csv --target y --epochs 3"
SAID = "t.csv is read as follows: semicolons between columns; the decimal sign is a comma"
ROWS = "a;y\n" + "".join(f"{i},5;{i * i % 7},25\n" for i in range(12))


def test_how_a_file_is_read_is_said_once(shell: Shell) -> None:
    shell.write("t.csv", ROWS)
    for more in ("", "--dry-run"):
        given = [*RUN.split(), "--lr", "0.1,0.2", "--format", "csv", *more.split()]
        assert shell(*given) == 0
        assert shell.errors.count(SAID) == 1
        assert SAID not in shell.out
        assert shell(*given, "--quiet", "--overwrite") == 0
        assert SAID not in shell.errors
    assert shell("lr-range", *RUN.split()[1:-2]) == 0
    assert SAID in shell.errors


def test_what_is_given_is_kept_with_the_experiment(shell: Shell) -> None:
    shell.write("t.csv", ROWS.replace("a;y", "a;a, b;y").replace("5;", "5;x y;"))
    given = ["--separator", ";", "--decimal", ",", "--drop", '"a, b"', "--lr", "0.1"]
    assert shell(*RUN.split(), *given, "--format", "csv") == 0
    first = shell.out
    assert SAID not in shell.errors
    assert shell(*RUN.split(), *given, "--save", "t.toml") == 0
    assert shell("sweep", "t.toml", "--format", "csv", "--overwrite") == 0
    assert shell.out == first
