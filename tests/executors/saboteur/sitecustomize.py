"""What befalls a worker in a test: put on the path of the command line's processes.

SABOTAGE is a line of Python that is run in a worker before each batch, with its `index`.
"""

from __future__ import annotations

import os
from typing import Any

if sabotage := os.environ.get("SABOTAGE"):
    from gdcli.runs.work import Work

    code, begin = compile(sabotage, "SABOTAGE", "exec"), Work.shard

    def sabotaged(work: Work, batch: Any, advance: Any) -> Any:
        """Run the sabotage, then do the work."""
        exec(code, {"index": batch.index, "trials": batch.trials, "os": os})  # noqa: S102
        return begin(work, batch, advance)

    setattr(Work, "shard", sabotaged)  # noqa: B010 -- mypy lets nobody replace a method
