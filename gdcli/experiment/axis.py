"""One axis of a grid: "0.1,0.01", "log:1e-4:1:5", "0:4" -> exact values.

Ranges are expanded in decimal arithmetic and rounded to float64 once, at the end: NumPy's
logspace gives other bits on other processors.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from gdcli.errors import UserError
from gdcli.fields import (
    MOST_DIGITS,
    NUMBER,
    Option,
    listed,
    meant,
    refuse_zeros,
    show,
    split,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGITS = Context(prec=60)
FEWER = Context(prec=50)  # what rounding errors do not reach: 8 * 2**1 is 16, not 15.99...
MOST_VALUES = 100_000
FORMS = "give values such as 0.1,0.01 or a range: log:1e-4:1:5, lin:0:1:11, 0.1:0.5:0.1"


def expand(raw: object, option: Option, where: str) -> tuple[Any, ...]:
    """Return the values of an axis, in the order given.

    `raw` is text, one value, or a list of values and texts, as TOML has them. Raises UserError,
    naming `where`, for an empty item, a malformed range, a duplicate, or a value that the
    option does not take.
    """
    if isinstance(raw, str):
        return _expand_text(raw, option, where)
    return _expand(raw, option, where)


def _expand_text(raw: str, option: Option, where: str) -> tuple[Any, ...]:
    """Return the values of a text; an error says how numbers are written that are meant by it."""
    if option.kind not in (int, float):
        return _expand(split(raw, where), option, where)
    refuse_zeros(raw, option.kind, where)
    try:
        return _expand(split(raw, where), option, where)
    except UserError as error:
        if option.many and not option.axis:
            raise
        numbers = [number for number in meant(raw, option.kind) if option.takes(number)]
        fix = " or ".join(numbers) or listed(raw, option.kind)
        if not fix or fix == raw.strip():
            raise
        what = error.what if show(raw) in error.what else f"{error.what} (in {show(raw)})"
        raise UserError(where, what, f"write {fix}") from None


def _expand(raw: object, option: Option, where: str) -> tuple[Any, ...]:
    items = raw if isinstance(raw, list | tuple) else [raw]
    if not items:
        raise UserError(where, "the list is empty", "give at least one value")
    values: list[Any] = []
    for item in items:
        values += _item(item, option, where)
        if isinstance(item, str) and len(values) > MOST_VALUES:  # ranges upon ranges
            raise UserError(where, f"it has more than {MOST_VALUES} values", "give fewer")
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise UserError(where, f"{show(value)} is given twice", "give every value once")
        seen.add(value)
    return tuple(values)


def _item(item: object, option: Option, where: str) -> Iterator[Any]:
    if isinstance(item, str) and not item.strip():
        raise UserError(where, "there is an empty item in the list", "remove the extra comma")
    if isinstance(item, str) and ":" in item and option.kind in (int, float):
        for number in _range(item.strip(), option.kind, where):
            yield _read(number, option, where)
    else:
        _refuse_lost(item, option.kind, where)
        yield _read(item, option, where)


def _read(item: object, option: Option, where: str) -> Any:
    return option.read([item], where)[0] if option.axis else option.read(item, where)


def _range(text: str, kind: type, where: str) -> list[Any]:
    """Return the values of "a:b" (integers), "a:b:step", "lin:a:b:n" or "log:a:b:n"."""
    form, *parts = text.split(":") if text[:3] in ("log", "lin") else ("step", *text.split(":"))
    if form == "step" and len(parts) == 2 and kind is int:
        parts.append("1")
    if len(parts) != 3 or not all(NUMBER.fullmatch(part) for part in parts):
        raise UserError(where, f"{show(text)} is not a range", FORMS)
    with localcontext(DIGITS):
        try:
            numbers = _spaced(form, [Decimal(part) for part in parts], text, where)
        except ArithmeticError:
            raise UserError(where, f"{show(text)} cannot be computed", FORMS) from None
    return [_rounded(number, kind, text, where) for number in numbers]


def _spaced(form: str, parts: list[Decimal], text: str, where: str) -> list[Decimal]:
    a, b, c = parts
    if form == "step":
        if c == 0 or (b - a) / c < 0 or (b - a) % c != 0:
            reason = f"steps of {c} from {a} do not reach {b}"
            raise UserError(where, f"{show(text)}: {reason}", "give a step that does")
        count = (b - a) / c + 1
    else:
        count = c
        if c != c.to_integral_value() or c < 2:
            what = f"{show(text)}: {c} cannot be a number of values"
            raise UserError(where, what, "give 2 or more")
        if form == "log" and not (a > 0 and b > 0):
            raise UserError(
                where, f"{show(text)}: a logarithmic range needs both ends above 0", FORMS
            )
    if count > MOST_VALUES:
        raise UserError(where, f"{show(text)} has {count:.0f} values", f"at most {MOST_VALUES}")
    steps = [Decimal(i) for i in range(int(count))]
    if form == "step":
        return [a + i * c for i in steps]
    last = steps[-1]
    if form == "lin":
        return [a + i * (b - a) / last for i in steps]
    ratio = (b / a).ln()
    return [a, *(FEWER.plus(a * (ratio * i / last).exp()) for i in steps[1:-1]), b]


def _rounded(number: Decimal, kind: type, text: str, where: str) -> Any:
    if kind is int:
        if number != number.to_integral_value():
            raise UserError(where, f"{show(text)}: {number} is not an integer", "use whole numbers")
        if number.adjusted() >= MOST_DIGITS:
            raise UserError(where, f"{show(text)}: {number:.0e} is too large", "give less")
        return int(number)
    _refuse_lost(str(number), kind, where)
    return float(number)


def _refuse_lost(item: object, kind: type, where: str) -> None:
    """Refuse a number that overflows float64, or that is not zero and rounds to zero."""
    if kind is not float or not isinstance(item, str) or not NUMBER.fullmatch(item.strip()):
        return
    value, digits = float(item), item.lower().partition("e")[0]
    if value in (float("inf"), float("-inf")):
        raise UserError(where, f"{item.strip()} is too large for float64", "give a smaller value")
    if value == 0 and digits.strip(" +-.0"):
        raise UserError(where, f"{item.strip()} rounds to zero", "give a larger value")


def one(raw: object, option: Option, where: str) -> Any:
    """Return the value of an option that is not an axis."""
    _refuse_lost(raw, option.kind, where)
    return option.read(raw, where)


def one_or_vary(raw: object, option: Option, where: str) -> Any:
    """Return the value of an option that can be varied; an error tells how."""
    try:
        return one(raw, option, where)
    except UserError as error:
        if option.many or not isinstance(raw, str) or not set(raw) & {",", ":"}:
            raise
        several = f"to try several: --vary {option.name}={raw}"
        try:
            expand(raw, option, where)
        except UserError:
            several = ""
        number = error.fix if error.fix.startswith("write ") else ""
        fix = ", or ".join(part for part in (number, several) if part)
        raise UserError(where, error.what, fix or error.fix) from None


def texts(values: tuple[Any, ...]) -> str:
    """Return values as one argument of a command line: `expand` reads them back exactly."""
    return ",".join(written(text(value)) for value in values)


def text(value: Any) -> str:
    """Return one value as a command line takes it."""
    if isinstance(value, tuple):
        return "x".join(text(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
