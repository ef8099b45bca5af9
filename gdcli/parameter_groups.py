"""Settings of some parameters: --for "bias,norm weight-decay=0; head.* optimizer=lion".

First stand kinds of parameters, or patterns of their names, then settings and their values. A
number with an x is a factor of the trial's own. Of two values of a setting that name a parameter
the later one counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, get_args

from gdcli.errors import UserError
from gdcli.fields import convert, show, suggestion
from gdcli.method import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LR, DECAY, RULE = "lr", "weight-decay", "optimizer"
SETTINGS = (LR, DECAY, RULE)
FORM = 'write it as in "bias,norm weight-decay=0" or "head.* optimizer=lion lr=0.1x"'
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class ParameterGroup:
    """A setting of the parameters that some patterns match."""

    patterns: tuple[str, ...]
    setting: str
    value: float | str  # a name, of an optimizer
    factor: bool = False  # of the trial's own value

    def matches(self, name: str, kind: str) -> bool:
        """Return whether a parameter is of the group."""
        return any(p == kind or (p not in KINDS and fnmatchcase(name, p)) for p in self.patterns)

    def of(self, own: Any) -> Any:
        """Return the value that takes the place of the trial's own."""
        return self.value * own if self.factor else self.value


@cache
def groups_of(text: str, where: str) -> tuple[ParameterGroup, ...]:
    """Return the groups that a text says; raises UserError, naming `where`, for what is none."""
    parts = text.strip().removesuffix(";").split(";")
    return tuple(group for part in parts for group in _groups(part, where))


def _groups(text: str, where: str) -> Iterator[ParameterGroup]:
    words = re.split(r"\s*,\s*|\s+", re.sub(r"\s*=\s*", "=", text.strip()))
    names = tuple(takewhile(lambda word: "=" not in word, words))
    settings = words[len(names) :]
    if not all(words) or not names or not settings or not all("=" in word for word in settings):
        what = f"{show(text.strip())} does not say what of which parameters"
        raise UserError(where, what, FORM)
    kinds = [word.partition("=")[0].replace("_", "-") for word in settings]
    if twice := next((kind for kind in kinds if kinds.count(kind) > 1), None):
        raise UserError(where, f"{show(text.strip())} sets {twice} twice", "give it once")
    for word in settings:
        setting, _, value = word.partition("=")
        yield _group(names, setting.replace("_", "-"), value, where)


def _group(names: tuple[str, ...], setting: str, value: str, where: str) -> ParameterGroup:
    if setting not in SETTINGS:
        hint = suggestion(setting, SETTINGS) or f"give one of {', '.join(SETTINGS)}"
        raise UserError(where, f"parameters have no setting {show(setting)} of their own", hint)
    if setting == RULE:
        return ParameterGroup(names, setting, value)
    number = convert(value.removesuffix("x"), float)
    if number is None or number < 0:
        own = "" if setting == LR else f"{setting}=0.1, or "
        fix = f"write {own}{setting}=0.1x, a factor of the trial's"
        raise UserError(where, f"{show(value)} is not a number of at least 0", fix)
    factor = value.endswith("x")
    if setting == LR and not factor:
        what = f"the lr of some parameters is a factor of the trial's, and {show(value)} is none"
        raise UserError(where, what, f"write lr={value}x")
    return ParameterGroup(names, setting, number, factor)


def unmatched(
    groups: tuple[ParameterGroup, ...], kind: Mapping[str, Kind], where: str
) -> UserError | None:
    """Return the mistake of a pattern that matches no parameter, None where there is none.

    A kind may be missing beside others: "bias,norm" is of any network, with norms or without.
    """
    for whole, pattern in ((group, pattern) for group in groups for pattern in group.patterns):
        own = whole if pattern in KINDS else replace(whole, patterns=(pattern,))
        if any(own.matches(n, k) for n, k in kind.items()):
            continue
        kinds = sorted(set(kind.values()))
        hint = suggestion(pattern, [*kinds, *kind])
        fix = hint or f"the kinds are {', '.join(kinds)}, the names {', '.join([*kind][:10])}"
        return UserError(where, f"no parameter is {show(pattern)}", fix)
    return None


def said_of(
    groups: tuple[ParameterGroup, ...], setting: str, name: str, kind: str
) -> ParameterGroup | None:
    """Return the group that sets a parameter's setting, None where the trial's own counts."""
    held = [group for group in groups if group.setting == setting and group.matches(name, kind)]
    return held[-1] if held else None


def value_of(
    groups: tuple[ParameterGroup, ...], setting: str, own: Any, name: str, kind: str
) -> Any:
    """Return a parameter's value of a setting, of which the trial's own is given."""
    group = said_of(groups, setting, name, kind)
    return group.of(own) if group else own
