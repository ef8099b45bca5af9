"""Experiments as TOML files, read with the line of every mistake, and written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from gdcli import door, given_file
from gdcli.errors import UserError, UserErrors
from gdcli.experiment import Experiment, Given, read
from gdcli.fields import options_of, show, suggestion
from gdcli.grid import Axes
from gdcli.own import Stranger
from gdcli.training import Training

TABLES = ("problem", "grid")
GRID = {**options_of(Axes), **options_of(Training), "zip": None}
PART = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
DEEP = re.compile(rf"(?<![\w-])(?:{PART}\s*\.\s*){{16}}")
HEADER = re.compile(rf"\s*\[+\s*({PART}(?:\s*\.\s*{PART})*)\s*\]")
KEY = re.compile(rf"\s*({PART}(?:\s*\.\s*{PART})*)\s*=")
SCHEMA_FILE = "gdcli.schema.json"  # beside the experiments, for editors
NAMES_SCHEMA = f"#:schema ./{SCHEMA_FILE}\n"  # the first line, for Taplo and Even Better TOML
FORM = 'begin with [problem] and name = "quadratic", then [grid] and its axes'
Key: TypeAlias = tuple[str, ...]  # the parts of a dotted key


def load(file: Path, overrides: Mapping[str, str] | None = None) -> Experiment:
    """Return the experiment of a TOML file, with the values of `--set key=value` in place.

    Raises UserErrors that name the file, the line and the key of every mistake.
    """
    return loads(_text(file), file, overrides)


def load_of_run(file: Path, code: Mapping[str, str], *, trust: bool) -> Experiment:
    """Return the experiment of a run's folder, whose code has these checksums.

    Raises UserError where it cannot be read, and for code, which is not run unless `trust` is.
    """
    try:
        text = door.text(file)
    except OSError as error:
        what = (error.strerror or "it cannot be read").lower()
        raise UserError(str(file), what, door.REPAIR) from None
    return loads(text, file, stranger=Stranger(str(file), code, trust))


def loads(
    text: str,
    file: Path,
    overrides: Mapping[str, str] | None = None,
    stranger: Stranger | None = None,
) -> Experiment:
    """Return the experiment of the text of a TOML file, whose name stands in its errors.

    `stranger` is the run's folder that the text is of, if it is of one.
    """
    if DEEP.search(text):  # the time and memory that tomllib takes for one grow with its square
        raise UserError(str(file), "it has a key of more than 16 parts", FORM)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _syntax(file, text, str(error)) from None
    places = _Places(file, _lines(text))
    strangers = _check_shape(tables, places)
    grid = {**tables.get("grid", {})}
    parts = {"problem": {**tables["problem"]}, "vary": _flat(grid.pop("vary", {})), "grid": grid}
    for key, value in (overrides or {}).items():
        places.overridden[_override(key, value, parts)] = f"--set {key}"
    name, zips = parts["problem"].pop("name"), grid.pop("zip", [])
    zips = tuple(zips) if isinstance(zips, list) else (zips,)
    given = Given(name, parts["problem"], grid, parts["vary"], zips, places.where, stranger)
    try:
        experiment = read(given)
    except UserErrors as errors:
        raise UserErrors([*strangers, *errors.errors]) from None
    if strangers:
        raise UserErrors(strangers)
    return experiment


@dataclass(frozen=True)
class _Places:
    """Where the keys of a file stand, for its errors."""

    file: Path
    lines: Mapping[Key, int]
    overridden: dict[Key, str] = field(default_factory=dict)

    def where(self, name: str) -> str:
        """Return the place of "lr", "problem dim", "vary momentum.beta", "problem" or "grid"."""
        part, space, key = name.partition(" ")
        if name in TABLES:
            return self.at((name, "name"), name)
        if not space or part not in ("problem", "vary"):
            part, key = "grid", name
        table = ("grid", "vary") if part == "vary" else (part,)
        return self.at((*table, *_parts(key)), key)

    def at(self, key: Key, label: str) -> str:
        """Return the place of a key: its line, or that of the table it is in."""
        if key in self.overridden:
            return self.overridden[key]
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.file}:{self.lines[key]}: {label}" if key else f"{self.file}: {label}"


def _override(key: str, value: str, parts: Mapping[str, dict[str, Any]]) -> Key:
    """Put the value of --set where the file has its key, or would; return its place."""
    name = key.replace("_", "-").removeprefix("grid.")
    part, dot, rest = name.partition(".")
    if dot and part in ("problem", "vary"):
        name = rest
    else:
        part = "grid" if name in GRID else "vary" if dot or name in parts["vary"] else "problem"
    table = parts[part]
    for spelling in [other for other in table if other.replace("_", "-") == name]:
        del table[spelling]
    table[name] = value
    return (*(("grid", "vary") if part == "vary" else (part,)), *_parts(name))


def _text(file: Path) -> str:
    content = given_file.content(file, str(file), "give the path of an experiment file")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise UserError(f"{file}:{line}", what, "save the file as UTF-8") from None


def _syntax(file: Path, text: str, message: str) -> UserError:
    place = re.search(r" \(at line (\d+), column \d+\)", message)
    line = place[1] if place else text.count("\n") + 1
    what = re.sub(r" \(at .*\)", "", message)
    return UserError(f"{file}:{line}", what[:1].lower() + what[1:], "see https://toml.io")


def _lines(text: str) -> dict[Key, int]:
    """Return the line of every table and key; tomllib does not say."""
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := HEADER.match(line):
            table = _parts(header[1])
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _parts(key: str) -> Key:
    """Return the parts of a dotted key: grid.vary."momentum.beta" has four."""
    return tuple(re.sub(r"[\"'\s]", "", key).replace("_", "-").split("."))


def _check_shape(tables: Mapping[str, Any], places: _Places) -> list[UserError]:
    """Return the mistakes of tables that should not be there.

    Raises UserErrors unless [problem], with a name, is there and [grid], if it is, is a table.
    """
    strangers = [
        UserError(
            places.at((key,), key), f"there is no table [{key}]", suggestion(key, TABLES) or FORM
        )
        for key in tables
        if key not in (*TABLES, "about")
    ]
    errors = [
        UserError(places.at((key,), key), f"{show(tables[key])} is not a table", FORM)
        for key in TABLES
        if key in tables and not isinstance(tables[key], dict)
    ]
    problem = tables.get("problem", {})
    if isinstance(problem, dict) and not isinstance(problem.get("name"), str):
        errors.append(UserError(places.where("problem"), "the problem's name is missing", FORM))
    grid = tables.get("grid")
    vary = grid.get("vary", {}) if isinstance(grid, dict) else {}
    if not isinstance(vary, dict):
        fix = 'write vary."momentum.beta" = [0.5, 0.9]'
        errors.append(UserError(places.where("vary"), f"{show(vary)} is not a table", fix))
    if errors:
        raise UserErrors([*strangers, *errors])
    return strangers


def _flat(vary: Mapping[str, Any]) -> dict[str, Any]:
    """Return vary's keys with dots, however TOML nested them: momentum.beta = ... is a table."""
    flat: dict[str, Any] = {}
    for key, value in vary.items():
        nested = value if isinstance(value, dict) else None
        flat |= {f"{key}.{k}": v for k, v in nested.items()} if nested is not None else {key: value}
    return flat


def dump(experiment: Experiment, *, local: bool = False) -> str:
    """Return an experiment as the text of a TOML file that `load` reads back exactly.

    `local` refers to the user's own files from this working directory, where they are below it.
    """
    tables = experiment.local_tables() if local else experiment.tables()
    vary = {f"vary.{_text_of(name)}": values for name, values in tables.pop("vary").items()}
    tables["grid"] |= vary
    parts = [
        "\n".join([f"[{name}]", *(f"{key} = {_value(v)}" for key, v in table.items())])
        for name, table in tables.items()
        if table
    ]
    return "\n\n".join(parts) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _text_of(str(value))


def _text_of(text: str) -> str:
    """Return a TOML basic string: JSON's form, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
