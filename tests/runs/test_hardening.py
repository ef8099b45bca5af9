"""What the world does to a run: damage is healed, a full or forbidden place is one line."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gdcli.runs.folder import State, state_of
from gdcli.runs.spec import FORMAT
from tests.executors.test_execute import run
from tests.grids import experiment
from tests.runs.command import SMALL, gdcli, leftovers, tables
from tests.unmeasured import unmeasured

ALONE = (*SMALL, "--workers", "1")
CHANCE = random.Random(4)  # noqa: S311 -- which bits, not whose secret
Damage = Callable[[Path, Path], None]


def cut(share: float) -> Damage:
    """Return what cuts a shard, of which it leaves so much."""

    def damage(shard: Path, _: Path) -> None:
        content = shard.read_bytes()
        shard.write_bytes(content[: int(share * (len(content) - 1))])

    return damage


def flip(place: float, bit: int) -> Damage:
    """Return what flips a bit of a shard."""

    def damage(shard: Path, _: Path) -> None:
        content = bytearray(shard.read_bytes())
        content[int(place * len(content))] ^= 1 << bit
        shard.write_bytes(content)

    return damage


def swap(shard: Path, other: Path) -> None:
    content = shard.read_bytes()
    shard.write_bytes(other.read_bytes())
    other.write_bytes(content)


def link(shard: Path, _: Path) -> None:
    shard.rename(shard.with_name("elsewhere"))
    shard.symlink_to("elsewhere")


def link_to_another(shard: Path, other: Path) -> None:
    shard.unlink()
    shard.symlink_to(other.name)


def link_to_nothing(shard: Path, _: Path) -> None:
    shard.unlink()
    shard.symlink_to("/nowhere/at/all")


DAMAGES: dict[str, Damage] = {
    **{f"cut {k}": cut(k / 50) for k in range(50)},
    **{f"flipped {k}": flip(CHANCE.random(), CHANCE.randrange(8)) for k in range(50)},
    "deleted": lambda shard, _: shard.unlink(),
    "swapped": swap,
    "a link": link,
    "a link to another shard": link_to_another,
    "a link to nothing": link_to_nothing,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """Return the folder of a run of two batches, and its tables."""
    folder = tmp_path_factory.mktemp("finished")
    given = experiment("quadratic", optimizer="vanilla,momentum", lr="0.01,0.1,3", seed="0:2")
    found = run(given, folder).folder
    return found, tables(found)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_healed_and_never_used(
    finished: tuple[Path, list[bytes]], damage: Damage
) -> None:
    folder, expected = finished
    shard, other = (folder / ".gdcli" / "shards" / f"{index:06d}" for index in (0, 1))
    untouched = shard.read_bytes()
    damage(shard, other)
    (folder / "manifest.json").unlink()
    given = experiment("quadratic", optimizer="vanilla,momentum", lr="0.01,0.1,3", seed="0:2")
    outcome = run(given, folder.parent)
    assert outcome.computed == (2 if damage is swap else 1)
    assert tables(folder) == expected
    assert not shard.is_symlink()
    assert len(shard.read_bytes()) == pytest.approx(len(untouched), abs=20)  # but for the seconds
    shard.with_name("elsewhere").unlink(missing_ok=True)


def test_strict_json_only(finished: tuple[Path, list[bytes]]) -> None:
    folder, _ = finished
    spec = folder / ".gdcli" / "spec.json"
    text = spec.read_bytes()
    strange = text.replace(f'"format": {FORMAT}'.encode(), b'"format": NaN')
    assert strange != text
    spec.write_bytes(strange)
    try:
        (folder / "manifest.json").rename(folder / "kept")
        assert state_of(folder) == State("damaged", 0, 0)
    finally:
        (folder / "kept").rename(folder / "manifest.json")
        spec.write_bytes(text)


def test_whole_tables_are_complete_whatever_became_of_the_spec(
    finished: tuple[Path, list[bytes]],
) -> None:
    folder, _ = finished
    spec = folder / ".gdcli" / "spec.json"
    text = spec.read_bytes()
    spec.write_bytes(b"")
    try:
        assert state_of(folder) == State("complete", 0, 0)
        given = experiment("quadratic", optimizer="vanilla,momentum", lr="0.01,0.1,3", seed="0:2")
        assert run(given, folder.parent).ready
    finally:
        spec.write_bytes(text)


def shell(folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gdcli` in a shell, in the place of `gdcli` in a command."""
    program = shlex.join([sys.executable, "-m", "gdcli", *arguments])
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("gdcli", program)],
        cwd=folder,
        env=unmeasured(),  # its files would meet the limit of a file's size as well
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("file", [".gdcli/shards/000000", "curves.csv"])
def test_a_folder_in_the_place_of_a_file_is_named(
    tmp_path: Path, whole: list[bytes], file: str
) -> None:
    goes_on(tmp_path, whole)
    folder = tmp_path / "results" / "run"
    (folder / "manifest.json").unlink()
    place = folder / file
    place.unlink()
    place.mkdir()
    code, lines = gdcli(tmp_path, *ALONE)
    line = f"error: results/run/{file}: is a directory; remove it, then give the same command"
    assert (code, lines) == (1, [line])
    place.rmdir()
    goes_on(tmp_path, whole)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the tables of the run of the command line."""
    folder = tmp_path_factory.mktemp("whole")
    assert gdcli(folder, *ALONE)[0] == 0
    return tables(folder / "results" / "run")


def goes_on(folder: Path, whole: list[bytes]) -> None:
    """Check that the same command, now in peace, leaves the same bytes and nothing else."""
    assert gdcli(folder, *ALONE)[0] == 0
    assert tables(folder / "results" / "run") == whole
    assert not leftovers(folder)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("blocks", [1, 20])  # no shard fits; shards fit, and the curves do not
def test_a_limit_of_a_files_size_is_one_line(
    tmp_path: Path, whole: list[bytes], blocks: int, workers: str
) -> None:
    limited = f"ulimit -f {blocks}; exec gdcli"
    done = shell(tmp_path, limited, *SMALL, "--workers", workers)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: results/run/")
    assert ": file too large; raise the limit" in line
    assert not leftovers(tmp_path)
    goes_on(tmp_path, whole)


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="/sys is Linux's")
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    code, lines = gdcli(tmp_path, *ALONE, "-o", "/sys/kernel")
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("error: /sys/kernel/run: ")
    assert lines[0].endswith("; give another --output")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("inner", [".", ".gdcli", ".gdcli/shards"])
def test_a_read_only_folder_is_one_line_and_a_finished_run_in_it_is_shown(
    tmp_path: Path, whole: list[bytes], inner: str
) -> None:
    run_folder = tmp_path / "results" / "run"
    goes_on(tmp_path, whole)
    place = run_folder / inner
    place.chmod(0o555)
    assert gdcli(tmp_path, *ALONE)[0] == 0
    assert gdcli(tmp_path, *ALONE, "--overwrite")[0] == 1
    place.chmod(0o755)
    goes_on(tmp_path, whole)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_working_directory_that_was_deleted(
    tmp_path: Path, whole: list[bytes], workers: str
) -> None:
    gone = "mkdir gone && cd gone && rmdir ../gone && exec gdcli"
    done = shell(tmp_path, gone, *SMALL, "--workers", workers)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("error: results: no such file or directory; ")
    done = shell(tmp_path, gone, *SMALL, "--workers", workers, "-o", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "results" / "run") == whole


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("gdcli >/dev/full", 1, "error: stdout: no space left on device; "),
        ("gdcli >&-", 0, "the results are in "),
        ("gdcli 2>/dev/full", 0, ""),
        ("gdcli 2>&-", 0, ""),
        ("gdcli <&- >&- 2>&-", 0, ""),
        ("gdcli | head -n 1", 0, ""),
        ("gdcli | true", 0, ""),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_streams_that_are_closed_or_full_lose_nothing(
    tmp_path: Path, whole: list[bytes], command: str, code: int, told: str
) -> None:
    done = shell(tmp_path, command, *SMALL, "--workers", "2")
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) <= 1
    assert tables(tmp_path / "results" / "run") == whole


def test_failures_are_counted_where_nobody_can_be_told(tmp_path: Path) -> None:
    raising = "any(trial.lr == 3 for trial in trials) and 1 / 0"
    program = shlex.join([sys.executable, "-m", "gdcli", *ALONE])
    saboteur = Path(__file__).parents[1] / "executors" / "saboteur"
    path = f"{saboteur}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{program} 2>/dev/full"],
        cwd=tmp_path,
        env={**os.environ, "SABOTAGE": raising, "PYTHONPATH": path},
        check=False,
        stdout=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert b"ZeroDivisionError" in tables(tmp_path / "results" / "run")[1]
