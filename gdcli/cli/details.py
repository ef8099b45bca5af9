"""One problem, optimizer or schedule in full: what it is, and every option."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from gdcli.catalog.catalog import PROBLEMS, Catalogue
from gdcli.catalog.user_code import is_own
from gdcli.cli.options import default_of, limits_of, metavar
from gdcli.errors import UserError
from gdcli.experiment.grid import Axes
from gdcli.fields import Option, options_of, show

if TYPE_CHECKING:
    from rich.console import Console


def print_details(catalogue: Catalogue[Any], name: str, form: str, console: Console) -> None:
    """Print the text and the options of an entry; csv is the options alone."""
    from gdcli.report.listing import print_json, print_listing, write_lines

    where = f"gdcli {catalogue.folder}"
    if is_own(name):  # a listing runs nobody's file
        fix = f"to run it and see its options: gdcli run {name} --help"
        raise UserError(where, f"{show(name)} is no name", fix)
    cls = catalogue.find(name, where)
    about = inspect.cleandoc(cls.__doc__ or "")
    refused = getattr(cls, "refused", ())
    options = (option for option in options_of(cls).values() if option.field not in refused)
    rows = [_row(catalogue, name, option) for option in options]
    if form == "json":
        entry = {"name": name, "summary": catalogue.summary(name), "description": about}
        print_json({**entry, "options": rows}, console)
        return
    if form != "csv":
        write_lines([f"{name}: {catalogue.summary(name)}", "", about, ""], console)
    print_listing(rows, form, console)


def _row(catalogue: Catalogue[Any], owner: str, option: Option) -> dict[str, str]:
    """Return an option as the listing shows it."""
    on_line = catalogue is PROBLEMS or option.name in options_of(Axes)
    return {
        "option": f"--{option.name}" if on_line else f"--vary {owner}.{option.name}",
        "type": "true|false" if option.kind is bool else metavar(option),
        "range": limits_of(option),
        "default": default_of(option),
        "summary": option.summary,
    }
