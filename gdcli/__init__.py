"""Grids of gradient-descent experiments in one command, with loss curves anyone can reproduce."""

__version__ = "0.1.0"
__all__ = ["Experiment", "GdcliError", "Run", "RunError", "UserError", "load", "run"]

TYPE_CHECKING = False  # a type checker takes it for true; typing's own would cost the import
if TYPE_CHECKING:
    from gdcli.api.experiment import Experiment
    from gdcli.api.frames import Run, load, run
    from gdcli.errors import GdcliError, RunError, UserError
else:

    def __getattr__(name: str) -> object:
        """Import a public name when it is asked for: the command line never waits for pandas."""
        places = {"Experiment": "api.experiment", "Run": "api.frames", "load": "api.frames"}
        places |= {"run": "api.frames"} | dict.fromkeys(
            ("GdcliError", "RunError", "UserError"), "errors"
        )
        if name not in places:
            raise AttributeError(f"module 'gdcli' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 -- the same

        return getattr(import_module(f"gdcli.{places[name]}"), name)

    def __dir__() -> list[str]:
        """Return the public names, too, which completion shows."""
        return sorted({*globals(), *__all__})
