"""The run as two Parquet files with typed columns: curves.parquet and summary.parquet.

nan and inf stay what they are; what was not measured is null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from gdcli.errors import UserError
from gdcli.exports.exporter import OUTPUT, RunExporter, refuse_existing, refuse_no_folder
from gdcli.fields import show
from gdcli.runs import atomic

if TYPE_CHECKING:
    from collections.abc import Collection

    from gdcli.runs.folder import RunFolder
    from gdcli.runs.table import TableName

ROWS = 100_000  # of a row group: what is in memory at a time
TYPES = {"whole": pa.int64(), "number": pa.float64(), "text": pa.string()}
FILES: dict[str, TableName] = {"curves.parquet": "curves.csv", "summary.parquet": "summary.csv"}


class ToParquet(RunExporter):
    """A folder with both files."""

    place = "a folder"

    def write(
        self, run: RunFolder, trials: Collection[str], output: str, *, overwrite: bool
    ) -> list[str]:
        """Write both files, or none; raises UserError where one is there already."""
        folder = Path(output)
        if folder.suffix == ".parquet":
            what = f"{show(str(folder))} names a file, and two are written"
            raise UserError(OUTPUT, what, f"give a folder, such as {folder.stem}")
        refuse_no_folder(folder)
        refuse_existing((folder / name for name in FILES), overwrite=overwrite)
        with atomic.together(folder) as staging:
            for name, table in FILES.items():
                _write(staging / name, run, table, trials)
        return []


def _write(file: Path, run: RunFolder, table: TableName, trials: Collection[str]) -> None:
    schema = pa.schema(
        [(name, TYPES[kind]) for name, kind in run.kinds(table).items()],
        metadata={"gdcli": json.dumps(run.about(), allow_nan=False)},
    )
    with file.open("xb") as sink, parquet.ParquetWriter(sink, schema) as writer:
        for block in run.blocks(table, trials, ROWS):
            writer.write_table(pa.table(block, schema=schema))
