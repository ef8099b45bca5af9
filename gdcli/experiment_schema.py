"""The JSON Schema of experiment files: what editors complete and check them by.

It refuses no file that gdcli reads. It lets some mistakes pass that only reading finds: ranges
whose steps do not fit, options that do not go together, data that are not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from gdcli.discovery import OPTIMIZERS, PROBLEMS, SCHEDULES, Catalogue
from gdcli.fields import LIMITS, Option, options_of
from gdcli.grid import Axes
from gdcli.numerals import NUMBER, WHOLE
from gdcli.training import Training

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
OWN = {"type": "string", "pattern": r"[:/\\]|\.py$"}
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
    table = _table([(o.name, _value(o)) for o in options], f"$defs/problems/{name}")
    table["properties"] = {"name": True, **table["properties"]}
    return {"description": PROBLEMS.summary(name), **table, "additionalProperties": False}


def _grid() -> Schema:
    options = {**options_of(Axes), **options_of(Training)}
    values = {
        **{name: _axis(o) if o.axis else _value(o) for name, o in options.items()},
        "optimizer": _rules_named(options["optimizer"], OPTIMIZERS.names()),
        "schedule": _rules_named(options["schedule"], SCHEDULES.names()),
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


def _zip() -> Schema:
    names = {"type": "string", "pattern": "^[^,]+(,[^,]+)+$"}
    about = 'axes that go in step instead of each with each: "lr,momentum.beta"'
    return {"description": about, "anyOf": [names, {"type": "array", "items": names}]}


def _vary(name: str) -> Schema:
    options = options_of(PROBLEMS.find(name, "problem")).values()
    own = _table([(o.name, _axis(o)) for o in options], f"$defs/vary/{name}")
    # Another table may be that of a rule of the user's own.
    return {"$ref": "#/$defs/rules", **own, "unevaluatedProperties": {"type": "object"}}


def _named(names: list[str]) -> Schema:
    return {"anyOf": [{"enum": names}, OWN]}


def _rules_named(option: Option, names: list[str]) -> Schema:
    """Return what the axis of optimizers or schedules may be: names, or rules of the user's own."""
    axis = _axis(option, names)
    several = {"type": "array", "items": _named(names), "minItems": 1, "uniqueItems": True}
    return {**axis, "anyOf": [*axis["anyOf"], OWN, several]}


def _all_rules() -> Schema:
    """Return the fields of all rules; those of the user's own are not known here."""
    known = "|".join([*OPTIMIZERS.names(), *SCHEDULES.names()])
    own = {f"^(?!({known})\\.)[^.]+\\.": True}
    return {
        "properties": {**_rules(OPTIMIZERS), **_rules(SCHEDULES)},
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


def _value(option: Option) -> Schema:
    """Return what one value of an option may be; gdcli reads numbers and lists from text, too."""
    about = {"description": option.summary}
    if not option.many:
        return {**about, **_one(option)}
    size = {"minItems": option.size, "maxItems": option.size} if option.size else {}
    values = {"type": "array", "items": _one(option), **size}
    return {**about, "anyOf": [values, _text(option.kind, "list")]}


def _one(option: Option) -> Schema:
    """Return what one number, word or path may be, as a value or as text."""
    if option.choices:
        return {"enum": [*option.choices]}
    if option.kind not in TEXTS:
        return {"type": "string"}
    typed = {"type": TYPES[option.kind], **_limits(option)}
    return {"anyOf": [typed, _text(option.kind, "text")]}


def _axis(option: Option, names: Sequence[str] = ()) -> Schema:
    """Return what the values of an axis may be: one, a list of them, or text with ranges."""
    words = names or option.choices
    if words:
        text: Schema = {"type": "string", "pattern": _listed(f"({'|'.join(words)})")}
        items: list[Schema] = [{"enum": [*words]}]
    elif option.kind in TEXTS:
        text = _text(option.kind, "axis")
        typed = {"type": TYPES[option.kind], **_limits(option)}
        items = [typed, _text(option.kind, "item")]
    else:
        text, items = {"type": "string", "pattern": "[^,]"}, [{"type": "string"}]
    if option.many and not option.axis:  # its values are lists: 100x50,32
        text = {"type": "string"}
        items = [{"type": ["array", "string"], "items": _one(option)}]
    several = {"type": "array", "items": _any(items), "minItems": 1, "uniqueItems": True}
    return {"description": option.summary, "anyOf": [*items, several, text]}


def _any(items: list[Schema]) -> Schema:
    return items[0] if len(items) == 1 else {"anyOf": items}


def _text(kind: type, form: str) -> Schema:
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
