"""Experiments as TOML files, read with the line of every mistake, and written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdcli.errors import UserError, UserErrors
from gdcli.experiment import Experiment, Given, read
from gdcli.fields import options_of, show, suggestion
from gdcli.grid import Axes
from gdcli.training import Training

TABLES = ("problem", "grid")
GRID = {**options_of(Axes), **options_of(Training)}
HEADER = re.compile(r"\s*\[\s*([\w.\"'-]+)\s*\]")
KEY = re.compile(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w.\"'-]+)*)\s*=")
FORM = 'begin with [problem] and name = "quadratic", then [grid] and its axes'


def load(file: Path, overrides: Mapping[str, str] | None = None) -> Experiment:
    """Return the experiment of a TOML file, with the values of `--set key=value` in place.

    Raises UserErrors that name the file, the line and the key of every mistake.
    """
    text = _text(file)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(file, str(error)) from None
    lines = _lines(text)

    def where(name: str) -> str:
        if name in changed:
            return f"--set {name}"
        key = name.removeprefix("vary ")
        line = lines.get(key) or lines.get(key.replace("_", "-")) or lines.get(key.replace("-", "_"))
        return f"{file}:{line or 1}: {key}"

    changed: dict[str, str] = {}
    _check_shape(tables, where)
    problem = {**tables["problem"]}
    grid = {**tables.get("grid", {})}
    vary = {**grid.pop("vary", {})}
    for key, value in (overrides or {}).items():
        changed[key] = value
        target = vary if key in vary or "." in key else grid if key in GRID else problem
        target[key] = value
    zips = grid.pop("zip", [])
    zips = (zips,) if isinstance(zips, str) else tuple(zips)
    return read(Given(problem.pop("name"), problem, grid, _flat(vary), zips, where))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(str(file), f"it is not UTF-8 ({error.reason})", "save it as UTF-8") from None
    except OSError as error:
        what = (error.strerror or "it cannot be read").lower()
        raise UserError(str(file), what, "give the path of an experiment file") from None


def _syntax(file: Path, message: str) -> UserError:
    place = re.search(r" \(at line (\d+), column \d+\)", message)
    line = place[1] if place else "1"
    what = re.sub(r" \(at .*\)", "", message)
    return UserError(f"{file}:{line}", what[:1].lower() + what[1:], "see https://toml.io")


def _lines(text: str) -> dict[str, int]:
    """Return the line of every key by its last parts; tomllib does not say."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = header[1]
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            name = re.sub(r"[\"'\s]", "", key[1])
            lines.setdefault(name.removeprefix("vary."), number)
            if table.startswith("grid.vary."):
                lines.setdefault(f"{table.removeprefix('grid.vary.')}.{name}", number)
    return lines


def _check_shape(tables: Mapping[str, Any], where: Any) -> None:
    """Raise UserErrors unless the tables are [problem], with a name, and [grid]."""
    errors = [
        UserError(where(key), f"there is no table [{key}]", suggestion(key, TABLES) or FORM)
        for key in tables
        if key not in (*TABLES, "about")
    ]
    errors += [
        UserError(where(key), f"{show(tables[key])} is not a table", FORM)
        for key in TABLES
        if key in tables and not isinstance(tables[key], dict)
    ]
    problem = tables.get("problem")
    if problem is None or isinstance(problem, dict) and not isinstance(problem.get("name"), str):
        errors.append(UserError(where("problem"), "the problem's name is missing", FORM))
    grid = tables.get("grid")
    vary = grid.get("vary", {}) if isinstance(grid, dict) else {}
    if not isinstance(vary, dict):
        fix = 'write vary."momentum.beta" = [0.5, 0.9]'
        errors.append(UserError(where("vary"), f"{show(vary)} is not a table", fix))
    if errors:
        raise UserErrors(errors)


def _flat(vary: Mapping[str, Any]) -> dict[str, Any]:
    """Return vary's keys with dots, however TOML nested them: momentum.beta = ... is a table."""
    flat = {}
    for key, value in vary.items():
        nested = value if isinstance(value, dict) else None
        flat |= {f"{key}.{k}": v for k, v in nested.items()} if nested is not None else {key: value}
    return flat


def dump(experiment: Experiment) -> str:
    """Return an experiment as the text of a TOML file that `load` reads back exactly."""
    tables = experiment.tables()
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
