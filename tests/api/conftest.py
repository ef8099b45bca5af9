"""Fixtures of the API's tests: the command line to compare with."""

from tests.cli.conftest import shell

__all__ = ["shell"]
