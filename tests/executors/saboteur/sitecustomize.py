"""What befalls a batch in a test: put on the path of the processes of a command line.

SABOTAGE is Python that is run before each batch, with its `index` and `trials`.
"""

from __future__ import annotations

import os
from typing import Any

if sabotage := os.environ.get("SABOTAGE"):
    from gdcli.runs.work import BatchRunner

    code, begin = compile(sabotage, "SABOTAGE", "exec"), BatchRunner._trained

    def sabotaged(work: BatchRunner, batch: Any, *given: Any) -> Any:
        """Run the sabotage, then do the work."""
        exec(code, {"index": batch.index, "trials": batch.trials, "os": os})  # noqa: S102
        return begin(work, batch, *given)

    setattr(BatchRunner, "_trained", sabotaged)  # noqa: B010 -- mypy lets nobody replace a method
