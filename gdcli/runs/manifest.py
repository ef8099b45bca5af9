"""manifest.json: what was run, with what, where and when, and the checksums of the results.

The commit is asked of git in such a way that nothing in the working directory is run: it may be a
stranger's, whose repository names programs that watch for changes, filter files or fetch them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict

from gdcli import door
from gdcli.door import REPAIR
from gdcli.errors import RunError, UserError
from gdcli.experiment import toml
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.runs import atomic
from gdcli.runs.spec import FORMAT, SHOWN, check_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from gdcli.experiment.experiment import Experiment

GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")
FILTERS = (
    *GIT,
    "config",
    "--show-scope",
    "--name-only",
    "--get-regexp",
    r"^filter\..*\.(clean|process)$",
)
OURS = ("system", "global", "command")  # configuration that is not the repository's
STATUS = (
    *(*GIT, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames"),
    *("--untracked-files=no", "--ignore-submodules=dirty"),
)
HEAD = (*GIT, "rev-parse", "--verify", "--quiet", "HEAD")
COMMIT = "# branch.oid "
WAIT = 5  # seconds for git; on a slow disk the manifest goes without a commit


@contextmanager
def commit() -> Iterator[Callable[[], str | None]]:
    """Ask git for the commit of the working directory while other work goes on.

    What is yielded waits for the hash, marked if files are changed, or if that cannot be told; it
    returns None outside git.
    """
    try:
        plain = _plain()
        git = _started(STATUS if plain else HEAD)
    except (OSError, subprocess.TimeoutExpired):
        yield lambda: None
        return

    def name() -> str | None:
        with suppress(subprocess.TimeoutExpired):
            first, *others = git.communicate(timeout=WAIT)[0].splitlines() or [""]
            if not plain:
                return f"{first}-unchecked" if first else None
            changed = any(not line.startswith("#") for line in others)
            found = first.removeprefix(COMMIT)
            if first.startswith(COMMIT) and found != "(initial)":
                return f"{found}-dirty" if changed else found
        return None

    with git:
        try:
            yield name
        finally:
            git.kill()


def _plain() -> bool:
    """Return whether the repository has no filter programs."""
    git = _started(FILTERS)
    with git:
        try:
            said = git.communicate(timeout=WAIT)[0]
        finally:
            git.kill()
    return git.returncode in (0, 1) and all(line.startswith(OURS) for line in said.splitlines())


def _started(command: tuple[str, ...]) -> subprocess.Popen[str]:
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 -- a fixed command
        command,
        env={**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"},
        stdin=null,
        stdout=pipe,
        stderr=null,
        text=True,
        errors="replace",
    )


FILES = ("curves.csv", "summary.csv", "experiment.toml")


class Checksum(TypedDict):
    """What a file held when it was written."""

    bytes: Annotated[int, lambda size: size >= 0]
    sha256: str


Files = TypedDict(
    "Files", {"curves.csv": Checksum, "summary.csv": Checksum, "experiment.toml": Checksum}
)


class Settings(TypedDict):
    """An experiment as it was given."""

    problem: dict[str, Any]
    grid: dict[str, Any]
    vary: dict[str, Any]


class Ran(TypedDict):
    """Which experiment was run."""

    problem: str
    hash: str
    varied: NotRequired[list[str]]
    settings: Settings


Count: TypeAlias = Annotated[int, lambda count: 0 <= count <= MOST_TRIALS]


class Ended(TypedDict):
    """The trials by how they ended."""

    all: Count
    failed: Count
    diverged: Count


class Engine(TypedDict):
    """How the trials were computed."""

    asked: Literal["auto", "reference"]
    paths: NotRequired[dict[str, list[str]]]


class Surroundings(TypedDict):
    """The part of the fingerprint that is read; all of it is compared."""

    device: str


class Manifest(TypedDict):
    """What manifest.json holds of a finished run."""

    format: int
    spec: NotRequired[str]
    experiment: Ran
    trials: NotRequired[Ended]
    engine: NotRequired[Engine]
    data: NotRequired[dict[str, str]]
    code: NotRequired[dict[str, str]]
    fingerprint: Surroundings
    equivalent: NotRequired[str]
    finished: NotRequired[str]
    host: NotRequired[str]
    system: NotRequired[str]
    cores: NotRequired[int | None]
    command: NotRequired[str]
    git: NotRequired[str | None]
    theory: NotRequired[list[dict[str, Any]]]
    files: Files


def manifest(
    experiment: Experiment,
    spec_id: str,
    spec: Mapping[str, Any],
    counts: Mapping[str, int],
    paths: Mapping[str, list[str]],
) -> dict[str, Any]:
    """Return the content of manifest.json without circumstances and checksums of files.

    `spec` identifies the numbers, by what they depend on; `counts` holds the trials by status,
    `paths` which ways the trials of each cohort were computed.
    """
    return {
        "format": FORMAT,
        "spec": spec_id,
        "experiment": {
            "problem": experiment.name,
            "hash": experiment.hash,
            "varied": list(experiment.varied),
            "settings": experiment.tables(),
        },
        "trials": dict(counts),
        "engine": {"asked": spec["engine"], "paths": dict(paths)},
        "data": spec["data"],
        **({"code": spec["code"]} if "code" in spec else {}),
        "fingerprint": spec["fingerprint"],
        "equivalent": shlex.join(["gdcli", *experiment.command()]),
    }


def circumstances() -> dict[str, Any]:
    """Return the command, the machine, the commit and the time, for a manifest."""
    with commit() as name:
        return made_at(name)


def made_at(name: Callable[[], str | None]) -> dict[str, Any]:
    """Return the circumstances; `name` returns the commit."""
    return {
        "host": platform.node(),
        "system": _system(),
        "cores": os.cpu_count(),
        "command": command(),
        "git": name(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def command() -> str:
    """Return the command line of this process; a path in it need not be UTF-8."""
    return shlex.join(["gdcli", *sys.argv[1:]]).encode(errors="backslashreplace").decode()


def _system() -> str:
    """Return the operating system and its C library, which platform.platform() is slow to find."""
    found = [platform.system(), platform.release(), platform.machine()]
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.confstr("CS_GNU_LIBC_VERSION") or "")
    return " ".join(filter(None, found))


def write(folder: Path, content: dict[str, Any], files: Iterable[str]) -> None:
    """Write manifest.json with the size and SHA-256 of the run's files."""
    content["files"] = {name: _checksum(folder / name) for name in files}
    text = json.dumps(content, indent=2, allow_nan=False, default=str)
    atomic.write(folder / "manifest.json", [text.encode(), b"\n"])


def counts(folder: Path, spec_id: str) -> dict[str, int] | None:
    """Return the trials by status if the folder holds these results, finished and unchanged."""
    try:
        content = read(folder)
    except UserError:
        return None
    if content.get("spec") != spec_id or changed(folder, content):
        return None
    found: dict[str, int] | None = content.get("trials")
    return found


def read(folder: Path) -> dict[str, Any]:
    """Return the content of manifest.json.

    Raises UserError unless it is that of a finished run, RunError if the system does not read it.
    """
    file = folder / "manifest.json"
    try:
        content: dict[str, Any] | None = door.json_of(file, Manifest)
    except (FileNotFoundError, NotADirectoryError):
        content = None
    except OSError as error:
        raise RunError(f"{file}: it cannot be read: {error.strerror or error}") from None
    if content is None:
        raise UserError(str(file), "it is not the manifest of a finished run", REPAIR)
    check_format(file, content["format"], SHOWN)
    return content


def experiment_of(folder: Path, content: Mapping[str, Any], *, trust: bool) -> Experiment:
    """Return the experiment of a finished run; raises UserError naming the mistake in its file.

    Code of the user's own is not run for it unless `trust` is, and the file is what it was.
    """
    file = folder / "experiment.toml"
    return toml.load_of_run(file, content.get("code", {}), trust=trust)


def changed(folder: Path, content: Mapping[str, Any]) -> list[Path]:
    """Return the files whose size or checksum is not that of the manifest."""
    return [folder / name for name in FILES if not _holds(folder / name, content["files"][name])]


def _holds(file: Path, held: Mapping[str, Any]) -> bool:
    """Return whether a file is a plain one with the recorded size and checksum."""
    digest = hashlib.sha256()
    try:
        with door.opened(file) as stream:
            if os.fstat(stream.fileno()).st_size != held["bytes"]:
                return False
            if file.suffix == ".csv":
                for block in door.blocks(stream, held["bytes"]):
                    digest.update(block)
            else:  # a line of experiment.toml may be long
                digest.update(stream.read(door.MOST_JSON))
    except (UserError, FileNotFoundError):
        return False
    found: bool = digest.hexdigest() == held["sha256"]
    return found


def check_files(folder: Path) -> None:
    """Raise UserError if a file of a run is not what its manifest recorded."""
    for file in changed(folder, read(folder)):
        raise UserError(str(file), "it is not what the run wrote", REPAIR)


def _checksum(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


DEFAULT = "default"
MOST_PAIRS = 3  # pairs of runs that a line names


def differing_settings(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the settings in which runs differ, by name, and the text of each run's value.

    A setting that one run leaves at its default is said so. `manifests` is by the runs' names.
    """
    said = {name: dict(_settings_of(manifest)) for name, manifest in manifests.items()}
    keys = dict.fromkeys(key for texts in said.values() for key in texts)
    rows = {key: {name: t.get(key, _absent(key)) for name, t in said.items()} for key in keys}
    return {key: row for key, row in rows.items() if len(set(row.values())) > 1}


def unlike_problems(manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line where runs share neither problem nor data: their losses are not comparable."""
    problems = {n: str(m["experiment"]["problem"]) for n, m in manifests.items()}
    if len(set(problems.values())) > 1:
        named = ", ".join(f"{name}: {problem}" for name, problem in problems.items())
        yield f"The runs are of different problems ({named}): their losses do not compare."
        return
    held = {name: _problems(manifest) for name, manifest in manifests.items()}
    apart = [
        f"{a} and {b}" for (a, of_a), (b, of_b) in combinations(held.items(), 2) if not of_a & of_b
    ]
    if apart:
        yield f"The data or functions of {_pairs(apart)} differ: their losses do not compare."
    measured = {name: _losses(manifest) for name, manifest in manifests.items()}
    weights = {name: _weights(manifest) for name, manifest in manifests.items()}
    otherwise = [
        f"{a} and {b}"
        for (a, of_a), (b, of_b) in combinations(measured.items(), 2)
        if held[a] & held[b] and (_apart(of_a, of_b) or _apart(weights[a], weights[b]))
    ]
    if otherwise:
        what = f"The loss functions of {_pairs(otherwise)} differ, as by weights of the classes"
        yield f"{what}: their losses do not compare."


def _pairs(pairs: Sequence[str]) -> str:
    more = f", and {len(pairs) - MOST_PAIRS} more pairs" if len(pairs) > MOST_PAIRS else ""
    return "; ".join(pairs[:MOST_PAIRS]) + more


def _apart(one: set[str], other: set[str]) -> bool:
    return bool(one and other and not one & other)


def _weights(manifest: Mapping[str, Any]) -> set[str]:
    """Return the class weights; the baseline of a hinge loss does not show them."""
    settings = manifest["experiment"].get("settings", {})
    varied = settings.get("vary", {}).get("class-weights")
    return set(varied or [settings.get("problem", {}).get("class-weights", "none")])


def _losses(manifest: Mapping[str, Any]) -> set[str]:
    """Return what identifies the loss functions of a run: losses of the best constant prediction.

    To six digits: that in float32 is the same.
    """
    data = manifest.get("data") or {}
    known = [(entry["problem"], entry.get("baseline") or {}) for entry in manifest["theory"]]
    return {
        f"{data.get(problem)} {base['train_loss']:.6g}"
        for problem, base in known
        if base.get("train_loss") is not None
    }


def _problems(manifest: Mapping[str, Any]) -> set[str]:
    """Return what identifies the problems of a run: their data, and options of pure functions.

    Networks of different sizes on the same data are of one problem.
    """
    data = manifest.get("data") or {}
    pure = {entry["problem"] for entry in manifest["theory"] if entry["examples"] == 1}
    return {f"{key if key in pure else ''} {checksum}" for key, checksum in data.items()}


def _settings_of(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the settings of a manifest, and the machine that it ran on, as texts by name."""
    yield from _flat(manifest["experiment"].get("settings", {}), "")
    if (engine := manifest.get("engine", {}).get("asked")) is not None:
        yield "engine", str(engine)
    # The first digits of a checksum are enough to tell data apart.
    data = manifest.get("data") or {}
    yield "data", ",".join(sorted({str(checksum)[:8] for checksum in data.values()}))
    yield from _flat(manifest["fingerprint"], "fingerprint.")


def _flat(value: object, prefix: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield prefix.removesuffix("."), _text(value)
        return
    for key, part in value.items():
        yield from _flat(part, f"{prefix}{key}.")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _absent(key: str) -> str:
    return "" if key.startswith("fingerprint.") else DEFAULT
