"""What a run's numbers depend on, as strict JSON, and in what two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

from gdcli import door
from gdcli.catalog.catalog import kinds_in
from gdcli.catalog.user_code import SourceFile, Stranger, source_of
from gdcli.door import fits
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.fields import show

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 3  # that a run writes
SHOWN = (2, FORMAT)  # that `show` and its like read: the release before wrote 2
AGAIN = "run the same experiment again with --overwrite"
LONGEST = 60  # characters of a value in a difference


class SpecColumns(TypedDict):
    """The columns of the tables."""

    curves: list[str]
    summary: list[str]


class Spec(TypedDict):
    """What spec.json holds."""

    format: int
    batches: Annotated[int, lambda count: 0 < count <= MOST_TRIALS]
    data: dict[str, str]
    engine: Literal["auto", "reference"]
    fingerprint: dict[str, Any]
    experiment: str
    settings: dict[str, Any]
    code: NotRequired[dict[str, str]]
    # These came after the first runs of format 3.
    trials: NotRequired[Annotated[int, lambda count: 0 < count <= MOST_TRIALS]]
    columns: NotRequired[SpecColumns]


def identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a spec that identify a run.

    `settings` is not among them: it describes the same trials in words, which may differ.
    """
    return {key: value for key, value in spec.items() if key != "settings"}


def spec_id(spec: Mapping[str, Any]) -> str:
    """Return 16 hex digits of the hash of a spec's identity."""
    return hashlib.sha256(line(identity(spec))).hexdigest()[:16]


def line(value: Mapping[str, Any]) -> bytes:
    """Return one line of canonical, strict JSON."""
    return json.dumps(value, sort_keys=True, allow_nan=False, default=str).encode() + b"\n"


def spec_file(folder: Path) -> Path:
    """Return where a run's folder keeps its spec."""
    return folder / ".gdcli" / "spec.json"


def read_spec(folder: Path, formats: Collection[int] = (FORMAT,)) -> dict[str, Any]:
    """Return the spec of a run's folder; raises OSError where there is none that can be read.

    Raises UserError where it is damaged, or of another format than one of `formats`.
    """
    file = spec_file(folder)
    spec: dict[str, Any] | None = door.json_of(file, Spec)
    if spec is None:
        raise UserError(str(file), "it is damaged", AGAIN)
    check_format(file, spec["format"], formats)
    return spec


def check_format(file: Path, given: int, formats: Collection[int]) -> None:
    """Raise UserError for a file of another format."""
    if given not in formats:
        known = " and ".join(map(str, formats))
        what = f"it is of format {show(given)}, and this gdcli reads {known} here"
        raise UserError(str(file), what, "use the gdcli that wrote it, or run it again")


def differing(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the keys at which two nested mappings differ, in order, as "grid.lr"."""
    for key in sorted({*a, *b}):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from differing(left, right, f"{prefix}{key}.")
        elif json.dumps(left, default=str) != json.dumps(right, default=str):
            yield prefix + key


def differences(held: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Return the settings that differ, or else what else differs, as "numpy 2.3 -> 2.4".

    Where the engines differ, only they are named: an engine brings its batches and libraries.
    """
    keys = list(differing(held, spec))
    keys = [key for key in keys if key.startswith("settings.")] or keys
    keys = ["engine"] if "engine" in keys else keys
    return ", ".join(dict.fromkeys(_said(key, held, spec) for key in keys))


def _said(key: str, held: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    if key.startswith("data."):  # a checksum means nothing to a reader
        return "data: the examples are others"
    if key.startswith(("data", "experiment")):
        return key
    if key.startswith("code."):
        return f"the code of {key.removeprefix('code.')}"
    return f"{key} {_value(held, key)} -> {_value(spec, key)}"


def _value(spec: Mapping[str, Any], key: str) -> str:
    found: Any = spec
    rest = key
    while rest and isinstance(found, Mapping):
        # The name of a setting may have dots itself: vary."momentum.beta".
        name = rest if rest in found else rest.partition(".")[0]
        found, rest = found.get(name), rest[len(name) + 1 :]
    text = found if isinstance(found, str) else json.dumps(found, default=str)
    text = "none" if found is None else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def sources_of(experiment: Experiment) -> dict[str, SourceFile]:
    """Return the sources of an experiment's classes that are not gdcli's own.

    By what each is: "problem my-bowl", "optimizer my-rule", "wrapper my-average".
    """
    kinds: list[tuple[str, type[Any]]] = [("problem", experiment.grid.problem)]
    for (word, _), rule in experiment.grid.rules.items():
        kinds += kinds_in(word, rule)
    kinds += [("measure", measure) for measure in experiment.grid.training.measures]
    found = ((word, source_of(kind)) for word, kind in kinds)
    return {f"{word} {source.name}": source for word, source in found if source}


def code_checksums(experiment: Experiment) -> dict[str, dict[str, str]]:
    """Return {"code": SHA-256 by class}, or {} where all classes are gdcli's own.

    As a part of a run's spec, it tells runs of different versions of a file apart.
    """
    checksums = {what: source.sha256 for what, source in sources_of(experiment).items()}
    return {"code": checksums} if checksums else {}


def changed_code(experiment: Experiment, held: Mapping[str, Any]) -> str:
    """Return in words which code differs from that of a spec or manifest, "" if none does."""
    then, now = held.get("code", {}), code_checksums(experiment).get("code", {})
    changed = [what for what in now if now[what] != then.get(what)]
    return f"the code of {changed[0]} is not what it was made with" if changed else ""


class ProblemSettings(TypedDict):
    """A problem's name, beside its options."""

    name: str


class GridSettings(TypedDict):
    """The axes; only `zip` is read here."""

    zip: NotRequired[list[str]]


class SpecSettings(TypedDict):
    """An experiment in words."""

    problem: ProblemSettings
    grid: GridSettings
    vary: dict[str, Any]


def experiment_of(spec: Mapping[str, Any], where: str, *, trust: bool) -> Experiment:
    """Return the experiment of a spec; raises UserError, naming `where`, if it has none.

    Code of the user's own is not run for it unless `trust` is, and the file is what it was.
    """
    tables = spec["settings"]
    if not fits(tables, SpecSettings):
        raise UserError(where, "it says no experiment", AGAIN)
    problem, grid, vary = dict(tables["problem"]), dict(tables["grid"]), dict(tables["vary"])
    name, zips = problem.pop("name"), tuple(grid.pop("zip", ()))
    stranger = Stranger(where, spec.get("code", {}), trust)
    given = Given(name, problem, grid, vary, zips, lambda key: f"{where}: {key}", stranger)
    experiment = read(given)
    if experiment.hash != spec.get("experiment"):
        raise UserError(where, "its settings give other trials than those that it is for", AGAIN)
    if changed := changed_code(experiment, spec):
        raise UserError(where, changed, AGAIN)
    return experiment
