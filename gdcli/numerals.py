"""What a number looks like, and which one is meant by a text that is none.

Only plain ASCII is a number. `1,000`, `10^3` and `1_000` are not, but an error can say how each is
written.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Context, Decimal, DecimalException, localcontext

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
LONGEST = 40  # characters of a text that is looked into
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
    if not isinstance(text, str) or len(text) > LONGEST or kind not in (int, float):
        return ()
    with localcontext(EXACT):
        try:
            found = [_written(number, kind) for number in _numbers(_plain(text), kind)]
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


def _numbers(text: str, kind: type) -> list[Decimal]:
    """Return the numbers that a text may be, by how it separates digits, then by its marks."""
    return _separated(text, kind) or _marked(text)


def _separated(text: str, kind: type) -> list[Decimal]:
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
        whole = number == number.to_integral_value() and number.adjusted() < LONGEST
        return str(int(number)) if whole else ""
    short = f"{float(number):g}"
    return short if float(short) == float(number) else repr(float(number)).removesuffix(".0")
