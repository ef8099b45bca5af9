"""Every mistake of a command line is reported, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gdcli.errors import UserError, UserErrors


def every(actions: Iterable[Callable[[], object]]) -> list[Any]:
    """Return the results of all actions; raises the UserErrors of all that fail, together."""
    results, errors = [], []
    for action in actions:
        try:
            results.append(action())
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)
    return results
