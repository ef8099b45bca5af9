"""Experiments as TOML files: read with the line of every mistake, written, and their JSON Schema.

Editors complete and check files by the schema. It refuses no file that gdcli reads. It lets some
mistakes pass that only reading finds: ranges whose steps do not fit, options that exclude each
other, data that are not there.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gdcli import door
from gdcli.catalog.catalog import (
    MEASURES,
    OPTIMIZERS,
    PROBLEMS,
    SCHEDULES,
    WRAPPERS,
    Catalogue,
)
from gdcli.catalog.user_code import Stranger
from gdcli.errors import UserError, UserErrors
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.experiment.grid import Axes
from gdcli.experiment.training import BUDGETS, Training
from gdcli.fields import LIMITS, NUMBER, WHOLE, Option, options_of, show, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    content = door.given_content(file, str(file), "give the path of an experiment file")
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


# tomli-w writes each item of a list on a line of its own: an experiment would be many lines long.
def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _text_of(str(value))


def _text_of(text: str) -> str:
    """Return a TOML basic string: JSON's form, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


Schema: TypeAlias = dict[str, Any]

KEYWORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
N = f"({NUMBER.pattern})"
RANGE = f"((log|lin):{N}:{N}:{N}|{N}:{N}(:{N})?)"
TEXTS = {bool: "([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])", int: WHOLE.pattern, float: NUMBER.pattern}
# A file or class of the user's own, or one of torch.optim: ./rule.py, package:Class, torch:Adamax.
OWN = {"type": "string", "pattern": r"[:/\\]|\.py(\+|$)"}
APART = ("weight-decay", "clip-norm")  # every optimizer's: axes of the grid


def text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(schema(), indent=1) + "\n"


def schema() -> Schema:
    """Return the schema, of draft 2020-12, of all problems, optimizers and schedules there are."""
    names = PROBLEMS.names()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gdcli experiment",
        "description": "One problem, a grid and a budget: gdcli sweep FILE.toml",
        "type": "object",
        "required": ["problem"],
        "properties": {
            "about": {"description": "anything: gdcli does not read it"},
            "problem": {
                "description": "what is minimised, and its options",
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"description": "see: gdcli problems", **_named(names)}},
            },
            "grid": _grid(),
        },
        "additionalProperties": False,
        "allOf": [_when(name) for name in names],
        "$defs": {
            "rules": _all_rules(),
            "problems": {name: _problem(name) for name in names},
            "vary": {name: _vary(name) for name in names},
            **_texts(),
        },
    }


def _when(name: str) -> Schema:
    """Return what holds of a file whose problem has this name."""
    return {
        "if": {"properties": {"problem": {"properties": {"name": {"const": name}}}}},
        "then": {
            "properties": {
                "problem": {"$ref": f"#/$defs/problems/{name}"},
                "grid": {"properties": {"vary": {"$ref": f"#/$defs/vary/{name}"}}},
            }
        },
    }


def _problem(name: str) -> Schema:
    options = options_of(PROBLEMS.find(name, "problem")).values()
    table = _table([(o.name, _value_schema(o)) for o in options], f"$defs/problems/{name}")
    table["properties"] = {"name": True, **table["properties"]}
    return {"description": PROBLEMS.summary(name), **table, "additionalProperties": False}


def _grid() -> Schema:
    options = {**options_of(Axes), **options_of(Training)}
    values = {
        **{name: _axis(o) if o.axis else _value_schema(o) for name, o in options.items()},
        "optimizer": _rules_named(options["optimizer"], OPTIMIZERS.names(), _further()),
        "schedule": _rules_named(options["schedule"], SCHEDULES.names()),
        "measure": {**_value_schema(options["measure"]), "pattern": _measures()},
        "schedule-for": _schedules(options["schedule-for"]),
        "zip": _zip(),
        "vary": {
            "description": 'further axes: options of the problem, and "momentum.beta"',
            "type": "object",
        },
    }
    return {
        "description": "the axes of the grid and the budget of every trial",
        "type": "object",
        **_table(values.items(), "properties/grid"),
        "additionalProperties": False,
        "not": {"required": ["epochs", "steps"]},
    }


def _measures() -> str:
    """Return the pattern of measures' names with commas between them."""
    one = "|".join(name.replace("-", "[-_]") for name in MEASURES.names())
    return _listed(f"\\s*({one})\\s*")


def _schedules(option: Option) -> Schema:
    """Return what the schedules of other settings may be: text, or a table of texts."""
    return {"description": option.summary, "type": ["string", "object"]}


def _zip() -> Schema:
    names = {"type": "string", "pattern": "^[^,]+(,[^,]+)+$"}
    about = 'axes that go in step instead of each with each: "lr,momentum.beta"'
    return {"description": about, "anyOf": [names, {"type": "array", "items": names}]}


def _vary(name: str) -> Schema:
    options = options_of(PROBLEMS.find(name, "problem")).values()
    budgets = [options_of(Training)[budget] for budget in BUDGETS]
    own = _table([(o.name, _axis(o)) for o in [*options, *budgets]], f"$defs/vary/{name}")
    # Another table may be that of a rule of the user's own.
    return {"$ref": "#/$defs/rules", **own, "unevaluatedProperties": {"type": "object"}}


def _named(names: list[str], further: str = "") -> Schema:
    composed = [{"type": "string", "pattern": f"^({'|'.join(names)}){further}$"}] if further else []
    return {"anyOf": [{"enum": names}, *composed, OWN]}


def _further() -> str:
    """Return the pattern of what follows the first part of a composed optimizer."""
    return f"(\\+({'|'.join([*OPTIMIZERS.names(), *WRAPPERS.names()])}))*"


def _rules_named(option: Option, names: list[str], further: str = "") -> Schema:
    """Return what the axis of optimizers or schedules may be: names, or rules of the user's own."""
    axis = _axis(option, names)
    one = _named(names, further)
    text = {"type": "string", "pattern": _listed(f"({'|'.join(names)}){further}")}
    several = {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}
    return {**axis, "anyOf": [*axis["anyOf"], *([text] if further else []), OWN, several]}


def _all_rules() -> Schema:
    """Return the fields of all rules; those of the user's own are not known here."""
    known = "|".join([*OPTIMIZERS.names(), *WRAPPERS.names(), *SCHEDULES.names()])
    own = {f"^(?!({known})\\.)[^.]+\\.": True}
    return {
        "properties": {**_rules(OPTIMIZERS), **_rules(WRAPPERS), **_rules(SCHEDULES)},
        "patternProperties": own,
    }


def _rules(catalogue: Catalogue[Any]) -> dict[str, Schema]:
    """Return the fields of rules as keys of vary: "momentum.beta", and beta in [vary.momentum]."""
    keys: dict[str, Schema] = {}
    for name in catalogue.names():
        options = options_of(catalogue.find(name, catalogue.word)).values()
        dotted = {f"{name}.{o.name}": _axis(o) for o in options if o.name not in APART}
        fields = [
            (key.partition(".")[2], {"$ref": f"#/$defs/rules/properties/{key}"}) for key in dotted
        ]
        if fields:
            table = _table(fields, f"$defs/rules/properties/{name}")
            keys |= {**dotted, name: {"type": "object", **table, "additionalProperties": False}}
    return keys


def _table(values: Iterable[tuple[str, Schema]], path: str) -> Schema:
    """Return the keys of a table at a path, each as listed, and with _ for - as gdcli reads it."""
    named = dict(values)
    spelt = {
        f"^{name.replace('-', '[-_]')}$": {"$ref": f"#/{path}/properties/{name}"}
        for name in named
        if "-" in name
    }
    return {"properties": named, **({"patternProperties": spelt} if spelt else {})}


def _value_schema(option: Option) -> Schema:
    """Return what one value of an option may be; gdcli reads numbers and lists from text, too."""
    about = {"description": option.summary}
    if not option.many:
        return {**about, **_one(option)}
    size = {"minItems": option.size, "maxItems": option.size} if option.size else {}
    values = {"type": "array", "items": _one(option), **size}
    return {**about, "anyOf": [values, _text_schema(option.kind, "list")]}


def _one(option: Option) -> Schema:
    """Return what one number, word or path may be, as a value or as text."""
    if option.choices:
        return {"enum": [*option.choices]}
    if option.kind not in TEXTS:
        return {"type": "string"}
    typed = {"type": TYPES[option.kind], **_limits(option)}
    return {"anyOf": [typed, _text_schema(option.kind, "text")]}


def _axis(option: Option, names: Sequence[str] = ()) -> Schema:
    """Return what the values of an axis may be: one, a list of them, or text with ranges."""
    words = names or option.choices
    if words:
        text: Schema = {"type": "string", "pattern": _listed(f"({'|'.join(words)})")}
        items: list[Schema] = [{"enum": [*words]}]
    elif option.kind in TEXTS:
        text = _text_schema(option.kind, "axis")
        typed = {"type": TYPES[option.kind], **_limits(option)}
        items = [typed, _text_schema(option.kind, "item")]
    else:
        text, items = {"type": "string", "pattern": "[^,]"}, [{"type": "string"}]
    if option.many and not option.axis:  # its values are lists: 100x50,32
        text = {"type": "string"}
        items = [{"type": ["array", "string"], "items": _one(option)}]
    several = {"type": "array", "items": _any(items), "minItems": 1, "uniqueItems": True}
    return {"description": option.summary, "anyOf": [*items, several, text]}


def _any(items: list[Schema]) -> Schema:
    return items[0] if len(items) == 1 else {"anyOf": items}


def _text_schema(kind: type, form: str) -> Schema:
    return {"$ref": f"#/$defs/{TYPES[kind]} as text/{form}"}


def _texts() -> dict[str, Schema]:
    """Return how gdcli reads numbers and truths from text, by the names that `_text` gives."""
    return {f"{TYPES[kind]} as text": _forms(pattern) for kind, pattern in TEXTS.items()}


def _forms(pattern: str) -> dict[str, Schema]:
    one = f"\\s*({pattern})\\s*"
    item = f"({one}|\\s*{RANGE}\\s*)"
    forms = {
        "text": f"^{one}$",
        "list": f"^{one}([,x]{one})*$",
        "item": f"^{item}$",
        "axis": _listed(item),
    }
    return {name: {"type": "string", "pattern": form} for name, form in forms.items()}


def _listed(item: str) -> str:
    return f"^{item}(,{item})*$"


def _limits(option: Option) -> dict[str, float]:
    """Return the limits of a number as keywords; the numbers of a text are left to gdcli."""
    found = {}
    for limit in option.limits:
        attribute = LIMITS[type(limit)][0]
        found[KEYWORDS[attribute]] = getattr(limit, attribute)
    return found
