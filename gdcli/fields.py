"""Options: the annotated fields of a dataclass, read alike from the command line and from TOML.

A field `dim: Annotated[int, "number of parameters", Ge(1)] = 2` is the option `--dim`, the TOML
key `dim`, its line in the help, its check and its place in the listings.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from gdcli.errors import UserError
from gdcli.numerals import NUMBER, WHOLE, meant

LONGEST = 80  # characters of a value in an error message
MOST_SAID = 1000  # of what an exception says
MOST_DIGITS = 1000  # of an integer; Python converts no more than 4300
LIMITS = {
    Ge: ("ge", "at least", "less than"),
    Gt: ("gt", "more than", "not more than"),
    Le: ("le", "at most", "more than"),
    Lt: ("lt", "less than", "not less than"),
}
ODD_ZEROS = re.compile(r",\s*(0\d+)", re.ASCII)
AXIS = "axis"  # an annotation: the field is an axis of the grid
LATER = "later"  # an annotation: the field came after the first runs; see settings_of
KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text", Path: "a path"}


@dataclass(frozen=True)
class Option:
    """One option: a field of a problem, an optimizer, a schedule or the experiment itself."""

    name: str  # as it is typed: "batch-size"
    kind: type  # of one value: bool, int, float, str or Path
    many: bool  # several values, a tuple
    size: int | None  # how many values, where that is fixed
    optional: bool  # may be left None
    summary: str
    default: Any
    axis: bool = False  # a grid axis: its tuple holds one value for each point of the grid
    choices: tuple[str, ...] = ()
    limits: tuple[Ge | Gt | Le | Lt, ...] = ()

    @property
    def field(self) -> str:
        """The field's name in the dataclass: "batch_size"."""
        return self.name.replace("-", "_")

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        bounds = [f"{LIMITS[type(x)][1]} {getattr(x, LIMITS[type(x)][0])}" for x in self.limits]
        return " of ".join(
            [KINDS[self.kind], " and ".join(bounds)] if bounds else [KINDS[self.kind]]
        )

    def read(self, raw: object, where: str) -> Any:
        """Return the value that `raw` means: text from a command line, or a TOML value.

        Raises UserError, naming `where`, when it is not what the field takes.
        """
        if raw is None and self.optional:
            return None
        if not self.many:
            return self._one(raw, where)
        if isinstance(raw, str):
            refuse_zeros(raw, self.kind, where)
        items = re.split(r"[,x]", raw) if isinstance(raw, str) and self.kind is not str else raw
        items = items.split(",") if isinstance(items, str) else items
        if not isinstance(items, list | tuple):
            raise UserError(where, f"{show(raw)} is not a list", "give values separated by commas")
        if self.size not in (None, len(items)):
            what = f"{show(raw)} is not {self.size} values"
            raise UserError(where, what, f"give {self.size} values separated by commas")
        return tuple(self._one(item, where) for item in items)

    def _one(self, raw: object, where: str) -> Any:
        value = convert(raw, self.kind)
        if value is None or (self.choices and value not in self.choices):
            hint = suggestion(str(raw), self.choices) if self.choices else self._written(raw)
            fix = hint or ("give one of them" if self.choices else f"give {self.wanted}")
            raise UserError(where, f"{show(raw)} is not {self.wanted}", fix)
        for limit in self.limits:
            attribute, _, broken = LIMITS[type(limit)]
            bound = getattr(limit, attribute)
            if not {
                "ge": value >= bound,
                "gt": value > bound,
                "le": value <= bound,
                "lt": value < bound,
            }[attribute]:
                raise UserError(where, f"{show(value)} is {broken} {bound}", f"give {self.wanted}")
        return value

    def _written(self, raw: object) -> str:
        """Return how the number is written that a value means, "" where it means none."""
        fitting = [text for text in meant(raw, self.kind) if self.takes(text)]
        return f"write {' or '.join(fitting)}" if fitting else ""

    def takes(self, text: str) -> bool:
        """Return whether one value is within the limits."""
        try:
            self._one(text, "")
        except UserError:
            return False
        return True


def options_of(cls: type) -> Mapping[str, Option]:
    """Return the options of a dataclass by their names as typed, in the order of its fields."""
    return _options(cls)


@cache
def _options(cls: type) -> Mapping[str, Option]:
    hints = get_type_hints(cls, include_extras=True)
    # What every reader of tables has comes after what a problem has of its own.
    fields = sorted(dataclasses.fields(cls), key=lambda field: field.kw_only is True)
    return {(option := _option(f, hints[f.name])).name: option for f in fields}


def _option(field: dataclasses.Field[Any], hint: Any) -> Option:
    hint, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    optional = get_origin(hint) in (Union, UnionType)
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    many = get_origin(hint) is tuple
    kind = get_args(hint)[0] if many else hint
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    default = (
        field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    )
    return Option(
        name=field.name.replace("_", "-"),
        kind=str if choices else kind,
        many=many,
        size=len(get_args(hint)) if many and Ellipsis not in get_args(hint) else None,
        optional=optional,
        summary=next(
            (note for note in notes if isinstance(note, str) and note not in (AXIS, LATER)), ""
        ),
        default=default,
        axis=AXIS in notes,
        choices=tuple(choices),
        limits=tuple(note for note in notes if isinstance(note, Ge | Gt | Le | Lt)),
    )


def settings_of(part: Any) -> dict[str, Any]:
    """Return the values of a dataclass by field, as they tell one trial from another.

    A field marked LATER counts only where it is not its default: what was run before there was
    such a field keeps its name.
    """
    kind: type = type(part)
    later = _later(kind)
    values = {field.name: (getattr(part, field.name), field) for field in dataclasses.fields(part)}
    return {
        name: value
        for name, (value, field) in values.items()
        if name not in later or value != field.default
    }


@cache
def _later(cls: type) -> frozenset[str]:
    hints = get_type_hints(cls, include_extras=True).items()
    return frozenset(name for name, hint in hints if LATER in getattr(hint, "__metadata__", ()))


def convert(raw: object, kind: type) -> Any:
    """Return `raw` as a value of `kind`, or None where it is not one.

    Text is parsed; a value that TOML has typed already must be of the kind (an integer is a
    number too). nan and inf are no numbers here.
    """
    if kind is Path:  # none has a NUL, which a file of TOML may say
        text = str(raw) if isinstance(raw, str | Path) else ""
        return Path(text) if text and "\0" not in text else None
    if isinstance(raw, str) and kind is not str:
        return _parse(raw.strip(), kind)
    if kind is float and isinstance(raw, int | float) and not isinstance(raw, bool):
        return float(raw) if abs(raw) <= sys.float_info.max else None
    return raw if type(raw) is kind else None  # exactly: True is an int, too


def _parse(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    if kind is int:
        return int(text) if WHOLE.fullmatch(text) and len(text) <= MOST_DIGITS else None
    if kind is float and NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return None


def show(value: object) -> str:
    """Return a value as an error message quotes it: escaped, and not too long.

    Of a long one there are the beginning and the end.
    """
    if not isinstance(value, str):
        return shortened(str(value).lower() if isinstance(value, bool) else str(value), LONGEST)
    text = repr(shortened(value, LONGEST))
    return text if len(text) <= LONGEST else f"{shortened(text[:-1], LONGEST - 1)}{text[-1]}"


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most: its beginning and its end."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 3]}...{text[-end:]}"


def said(error: BaseException) -> str:
    """Return what an exception says: its kind and its text, not too long.

    The text is anyone's: it may be of any length, and there may be none, as where making it fails.
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- of a class of the user's own
        text = ""
    kind = type(error).__name__
    return f"{kind}: {shortened(text, MOST_SAID)}" if text else kind


def refuse_zeros(text: str, kind: type, where: str) -> None:
    """Raise UserError for a list of numbers one of which begins with zeros: 0,001 or 1,024.

    It is one number, with a comma as its decimal sign or between its thousands.
    """
    found = ODD_ZEROS.search(text) if kind in (int, float) else None
    if found:
        what = f"{show(text)} is no list: {show(found[1])} in it begins with 0"
        fix = " or ".join(meant(text, kind))
        raise UserError(where, what, f"write {fix}" if fix else "write numbers without commas")


def counted(count: int, one: str, many: str) -> str:
    """Return "1 trial is" or "2 trials are", of "trial is" and "trials are"."""
    return f"{count} {one if count == 1 else many}"


def suggestion(given: str, known: Iterable[str], typed: Mapping[str, str] | None = None) -> str:
    """Return "did you mean 'NAME'?", or "" when nothing known is close.

    Close is what differs by case, hyphens or the order of letters, by one letter, or by another for
    every five.
    `typed` says how names are written, where that is not as they are.
    """
    names = {squashed(name): name for name in reversed(list(known))}
    word = squashed(given)
    close = difflib.get_close_matches(word, names, n=3)
    found = next((name for name in close if _alike(word, name)), None)
    return f"did you mean '{(typed or {}).get(names[found], names[found])}'?" if found else ""


def squashed(name: str) -> str:
    """Return a name without case, hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _alike(word: str, other: str) -> bool:
    """Return whether one may be a slip of the keyboard for the other."""
    steps = difflib.SequenceMatcher(None, word, other, autojunk=False).get_opcodes()
    edits = sum(max(b - a, d - c) for step, a, b, c, d in steps if step != "equal")
    return edits <= 1 + len(word) // 5 or sorted(word) == sorted(other)
