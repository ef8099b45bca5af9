"""Options: the annotated fields of a dataclass, read alike from the command line and from TOML.

A field `dim: Annotated[int, "number of parameters", Ge(1)] = 2` is the option `--dim`, the TOML
key `dim`, its line in the help, its check and its place in the listings.

Numbers are plain ASCII: `1,000`, `10^3` and `1_000` are none, but an error can say how each is
written. Several values in one text are separated by commas: `a,max(x, y),"b,c"` holds three. A
comma in brackets or in quotes belongs to a value. The quotes around a value are not part of it,
and one of their kind inside them is doubled, as in CSV.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, localcontext
from functools import cache
from keyword import iskeyword
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, Gt, Le, Lt

from gdcli.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
LONGEST_TEXT = 40  # characters of a text that is looked into
LARGEST = 300  # the exponent from which no number is proposed
RAISED = re.compile(
    "[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079]+"
)
SIGNS = str.maketrans(
    {**dict.fromkeys("\u2212\u2013\u2014\u2010\u2011\u207b", "-"), "\u207a": "+", "\u2044": "/"}
)
BLANKS = re.compile(r"[\s_'\u2019`]")
SPACED = re.compile(r"[+-]?\d{1,3}([\s'\u2019`]\d{3})+([.,]\d+)?")
JOINED = re.compile(r"(?<=\d)_(?=\d)")
LOOSE = re.compile(r"(?<=[eE+-])\s+|\s+(?=[eE^*/%])|(?<=[\^*/])\s+")
BY_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
BY_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
POWER = re.compile(r"([+-]?[\d.]+)(?:\^|\*\*)\(?([+-]?\d+)\)?")
TIMES = re.compile(
    r"([+-]?[\d.]+)\s*[*x\u00d7\u00b7]\s*10(?:\^|\*\*)\(?([+-]?\d+)\)?", re.IGNORECASE
)
SUFFIXED = re.compile(r"([+-]?[\d.]+)\s*([kKM%])")
FRACTION = re.compile(r"([+-]?\d+)/(\d+)")
FORTRAN = re.compile(r"([+-]?[\d.]+)[dD]([+-]?\d+)")
FACTORS = {"k": Decimal(1000), "K": Decimal(1000), "M": Decimal(10**6), "%": Decimal("0.01")}
RANGE = re.compile(r"([+-]?\d+)(?:-|\.\.\.?|\u2013)([+-]?\d+)")
EXACT = Context(prec=30)


def meant(raw: object, kind: type) -> tuple[str, ...]:
    """Return the numbers of a kind that a value may mean, as they are written; often none."""
    text = repr(raw) if isinstance(raw, float) else raw
    if not isinstance(text, str) or len(text) > LONGEST_TEXT or kind not in (int, float):
        return ()
    with localcontext(EXACT):
        try:
            plain = _plain(text)
            numbers = _separated(plain, kind) or _marked(plain)
            found = [_written(number, kind) for number in numbers]
        except (DecimalException, ValueError):
            return ()
    return tuple(dict.fromkeys(number for number in found if number))


def listed(raw: str, kind: type) -> str:
    """Return how several numbers are written, "" where a text does not mean several."""
    bare = raw.strip().strip("[](){}")
    whole = RANGE.fullmatch(bare)
    if whole and kind is int:
        return f"{whole[1]}:{whole[2]}"
    for mark in (r"\s*;\s*", r"\s*,\s*", r"\s+"):
        items = [item for item in re.split(mark, bare) if item]
        numbers = [meant(item, kind) for item in items[:10]]
        if 1 < len(items) <= len(numbers) and all(numbers):
            return ",".join(number[0] for number in numbers)
    return ""


def _plain(text: str) -> str:
    """Return a text in ASCII, where it has another writing of the same."""
    text = RAISED.sub(lambda found: f"^{found[0]}", text.strip())
    text = unicodedata.normalize("NFKC", text).translate(SIGNS)
    text = "".join(_digit(char) for char in text)
    text = LOOSE.sub("", JOINED.sub("", text))
    return BLANKS.sub("", text) if SPACED.fullmatch(text) else text


def _digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


def _separated(text: str, kind: type) -> list[Decimal]:
    """Return the numbers that a text may be, by how it separates digits."""
    if NUMBER.fullmatch(text):
        number = Decimal(text)
        # 1.000 of a count is one thousand where a point stands between thousands.
        either = kind is int and BY_POINTS.fullmatch(text) is not None
        return [number, Decimal(text.replace(".", ""))] if either else [number]
    if BY_COMMAS.fullmatch(text):
        whole = Decimal(text.replace(",", ""))
        either = kind is float and text.count(",") == 1 and "." not in text
        return [whole, Decimal(text.replace(",", "."))] if either else [whole]
    if BY_POINTS.fullmatch(text):
        return [Decimal(text.replace(".", "").replace(",", "."))]
    if DECIMAL_COMMA.fullmatch(text):
        return [Decimal(text.replace(",", "."))]
    return []


def _marked(text: str) -> list[Decimal]:  # noqa: PLR0911 -- one a way of writing
    """Return the number that a text is with a mark: a power, a suffix, a fraction."""
    if found := TIMES.fullmatch(text):
        return [_scaled(Decimal(found[1]), int(found[2]))]
    if found := FORTRAN.fullmatch(text):
        return [_scaled(Decimal(found[1]), int(found[2]))]
    if found := POWER.fullmatch(text):
        return [Decimal(found[1]) ** int(found[2])] if abs(int(found[2])) <= LARGEST else []
    if found := SUFFIXED.fullmatch(text):
        return [Decimal(found[1]) * FACTORS[found[2]]]
    if (found := FRACTION.fullmatch(text)) and int(found[2]):
        return [Decimal(found[1]) / Decimal(found[2])]
    if re.fullmatch(r"0[xX][\da-fA-F]+|0[bB][01]+", text):
        return [Decimal(int(text, 0))]
    return []


def _scaled(number: Decimal, exponent: int) -> Decimal:
    return number.scaleb(exponent) if abs(exponent) <= LARGEST else Decimal(0)


def _written(number: Decimal, kind: type) -> str:
    """Return a number as it is written for an option of a kind, "" where it is not of it."""
    if number and abs(number.adjusted()) > LARGEST:
        return ""
    if kind is int:
        whole = number == number.to_integral_value() and number.adjusted() < LONGEST_TEXT
        return str(int(number)) if whole else ""
    short = f"{float(number):g}"
    return short if float(short) == float(number) else repr(float(number)).removesuffix(".0")


LONGEST = 80  # characters of a value in an error message
MOST_SAID = 1000  # of what an exception says
MOST_DIGITS = 1000  # of an integer; Python converts no more than 4300
LIMITS = {
    Ge: ("ge", "at least", "less than", operator.ge),
    Gt: ("gt", "more than", "not more than", operator.gt),
    Le: ("le", "at most", "more than", operator.le),
    Lt: ("lt", "less than", "not less than", operator.lt),
}
ODD_ZEROS = re.compile(r",\s*(0\d+)", re.ASCII)
AXIS = "axis"  # an annotation: the field is an axis of the grid
LATER = "later"  # an annotation: the field came after the first runs; see settings_of
KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text", Path: "a path"}


@dataclass(frozen=True)
class OneOf:
    """An annotation: a value is one of the names that are found when options are first read."""

    names: Callable[[], Iterable[str]]


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
        """The field's name in the dataclass: "batch_size", and "for_" where Python has the word."""
        name = self.name.replace("-", "_")
        return f"{name}_" if iskeyword(name) else name

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        bounds = [f"{LIMITS[type(x)][1]} {getattr(x, LIMITS[type(x)][0])}" for x in self.limits]
        return " of ".join(filter(None, [KINDS[self.kind], " and ".join(bounds)]))

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
            raw = raw.strip().strip("()[]")
        items = re.split(r"[,x]", raw) if isinstance(raw, str) and self.kind is not str else raw
        items = items.split(",") if isinstance(items, str) else items
        if not isinstance(items, list | tuple):
            raise UserError(where, f"{show(raw)} is not a list", "give values separated by commas")
        if self.size not in (None, len(items)):
            inner = "x".join("123456789"[: self.size])  # commas separate what --vary tries
            form = f", as in {inner}" if where.startswith("--vary") else " separated by commas"
            size = f"{self.size} values"
            raise UserError(where, f"{show(raw)} is not {size}", f"give {size}{form}")
        return tuple(self._one(item, where) for item in items)

    def _one(self, raw: object, where: str) -> Any:
        value = convert(raw, self.kind)
        if value is None or (self.choices and value not in self.choices):
            hint = suggestion(str(raw), self.choices) if self.choices else self._written(raw)
            fix = hint or ("give one of them" if self.choices else f"give {self.wanted}")
            raise UserError(where, f"{show(raw)} is not {self.wanted}", fix)
        for limit in self.limits:
            attribute, _, broken, holds = LIMITS[type(limit)]
            bound = getattr(limit, attribute)
            if not holds(value, bound):
                raise UserError(where, f"{show(value)} is {broken} {bound}", f"give {self.wanted}")
        return value

    def _written(self, raw: object) -> str:
        """Return how the number is written that a value means, "" where it means none."""
        fitting = " or ".join(text for text in meant(raw, self.kind) if self.takes(text))
        return f"write {fitting}" if fitting else ""

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
    for note in notes:
        choices = tuple(note.names()) if isinstance(note, OneOf) else choices
    default = (
        field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    )
    return Option(
        name=field.name.rstrip("_").replace("_", "-"),
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
    number too). nan and inf are not numbers here.
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
    """Return a value as an error message quotes it: escaped, of a long one both ends."""
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
        what = f"{show(text)} is not a list of numbers: {show(found[1])} begins with 0"
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


CLOSES = {"(": ")", "[": "]"}
MARKS = re.compile(r"[][(),]")
QUOTED = re.compile(r"""\s*(["'])((?:(?!\1).|\1\1)*)\1\s*(?=,|\Z)""", re.DOTALL)
OPENS = re.compile(r"""\s*["']""")


def split(text: str, where: str) -> list[str]:
    """Return the values of a list; what has no comma is one value, whatever brackets it has.

    Raises UserError, naming `where`, for brackets that do not match, or a quote left open.
    """
    if "," not in text and not QUOTED.fullmatch(text):
        return [text]
    values = []
    at = 0
    while at <= len(text):
        value, end = _first(text, at, where)
        values.append(value)
        at = end + len(",")
    return values


def written(value: str) -> str:
    """Return a value as text in a list: in quotes where it needs them to be read back."""
    try:
        bare = split(f"{value},", "") == [value, ""]
    except UserError:
        bare = False
    return value if bare else '"' + value.replace('"', '""') + '"'


def typed(value: str) -> str:
    """Return a value of a list as it is typed in a shell, quoted."""
    return show(written(value))


def _first(text: str, at: int, where: str) -> tuple[str, int]:
    """Return the value that begins at a place, and where it ends."""
    if quoted := QUOTED.match(text, at):
        mark = quoted[1]
        return quoted[2].replace(2 * mark, mark), quoted.end()
    if OPENS.match(text, at):
        what = f"{show(text[at:])} begins with a quote, but no value ends with it"
        raise UserError(where, what, "close it at the end of the value")
    end = _end(text, at, where)
    return text[at:end], end


def _end(text: str, at: int, where: str) -> int:
    """Return where a value without quotes ends: at a comma in no brackets, or with the text."""
    opened: list[str] = []
    for found in MARKS.finditer(text, at):
        mark = found[0]
        if mark in CLOSES:
            opened.append(mark)
        elif mark != ",":
            if not opened or CLOSES[opened.pop()] != mark:
                raise _unmatched(mark, "opened", text[at:], where)
        elif not opened:
            return found.start()
    if opened:
        raise _unmatched(opened[-1], "closed", text[at:], where)
    return len(text)


def _unmatched(mark: str, missing: str, text: str, where: str) -> UserError:
    what = f"the {show(mark)} in {show(text)} is never {missing}"
    return UserError(where, what, "give its pair, or put the value in quotes")
