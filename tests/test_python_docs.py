"""docs/python.md: every block runs as it stands, and prints what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, flags=re.DOTALL)
END = "-- end of a block --"


def test_the_page_does_what_it_shows(tmp_path: Path) -> None:
    assert len(BLOCKS) == PAGE.count("```python") > 4
    # From stdin, as a notebook's cells: there is no file that another process could import.
    program = "".join(f"{code}\nprint({END!r})\n" for code, _ in BLOCKS)
    done = subprocess.run(
        [sys.executable, "-"],
        input=program,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = re.sub(r" +$", "", done.stdout, flags=re.MULTILINE).split(f"{END}\n")
    assert printed == [*(shown for _, shown in BLOCKS), ""]
