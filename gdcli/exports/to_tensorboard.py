"""The run as TensorBoard's event files, a folder for each trial.

An event holds a number of 32 bits: nan and inf stay what they are, and a number that 32 bits have
no likeness of, which would become inf or 0, is left out.
"""

from __future__ import annotations

import struct
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.errors import UserError
from gdcli.exports.exporter import OUTPUT, RunExporter, folder_name, refuse_no_folder
from gdcli.fields import counted, show
from gdcli.runs import atomic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gdcli.runs.csv_read import Value
    from gdcli.runs.folder import RunFolder, TrialRecord

PREFIX = "events.out.tfevents."  # by which TensorBoard knows its files
OURS = ".gdcli"
EXACT = 2**53  # beyond it a float no longer counts in ones


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let tensorboardX do without torch, which it would import, seconds long, and never use."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # so says Python that there is none
    try:
        yield
    finally:
        del sys.modules["torch"]


with _without_torch():
    from tensorboardX import RecordWriter
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboardX.summary import hparams


class ToTensorboard(RunExporter):
    """A folder of event files."""

    place = "a folder"

    def write(
        self, run: RunFolder, trials: Collection[str], output: str, *, overwrite: bool
    ) -> list[str]:
        """Write the files, all or none; return what is to be told of what they do not hold.

        Raises UserError where a folder holds event files already. Those of an earlier export are
        replaced with `overwrite`; others never.
        """
        folder = Path(output)
        refuse_no_folder(folder)
        before = _event_files(folder, overwrite=overwrite)
        left_out = 0
        with atomic.together(folder) as staging:
            for trial in run.records(trials):
                events = _Events(run.time.timestamp())
                events.settings(trial)
                events.curve(trial)
                left_out += events.left_out
                place = Path(folder_name(trial.settings), f"{PREFIX}{int(events.time)}{OURS}")
                events.write(staging / place)
                before.discard(folder / place)
        for file in before:
            file.unlink()
            with suppress(OSError):  # it holds other files, too
                file.parent.rmdir()
        return _notes(left_out)


def _event_files(folder: Path, *, overwrite: bool) -> set[Path]:
    """Return the event files that an earlier export wrote; raises UserError for any other."""
    all_of_them = folder.rglob(f"{PREFIX}*")
    found = {file for file in all_of_them if not _is_half(file.relative_to(folder))}
    others = sorted(file for file in found if file.suffix != OURS)
    if others or (found and not overwrite):
        what = f"{show(str(folder))} holds event files"
        if others:
            raise UserError(OUTPUT, f"{what} that are not gdcli's", "give another folder")
        raise UserError(OUTPUT, what, "give another folder, or --overwrite to replace them")
    return found


def _is_half(file: Path) -> bool:
    """Return whether a file is what an export that was killed left of itself."""
    return file.parts[0].startswith(atomic.TEMPORARY)


def _notes(left_out: int) -> list[str]:
    if not left_out:
        return []
    values = counted(left_out, "value is", "values are")
    return [f"{values} left out: in 32 bits, which TensorBoard has, they would be inf or 0"]


class _Events:
    """The events of one trial."""

    def __init__(self, time: float) -> None:
        self.time = time
        self.left_out = 0
        self._records = [Event(wall_time=time, file_version="brain.Event:2").SerializeToString()]

    def settings(self, trial: TrialRecord) -> None:
        """Add the settings and the numbers of summary.csv to TensorBoard's HPARAMS."""
        told = {n: _told(v) for n, v in trial.settings.items() if v is not None}
        told |= {n: v for n in ("status", "stopped_by") if (v := trial.ends.get(n)) is not None}
        ends = {n: v for n, v in trial.ends.items() if isinstance(v, int | float)}
        experiment, start, _ = hparams(told, ends)
        for summary in (experiment, start, _end(trial)):
            self._add(summary, 0)
        for name, value in ends.items():
            self._scalar(name, value, int(trial.ends["steps"] or 0))

    def curve(self, trial: TrialRecord) -> None:
        """Add every recorded point of every measure."""
        for name, value, step in trial.points():
            self._scalar(name, value, step)

    def _scalar(self, tag: str, value: Value, step: int) -> None:
        if _fits(float(value or 0)):
            self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value)]), step)
        else:
            self.left_out += 1

    def _add(self, summary: Any, step: int) -> None:
        event = Event(wall_time=self.time, step=step, summary=summary)
        self._records.append(event.SerializeToString())

    def write(self, file: Path) -> None:
        """Write the file, and the folder that it is in."""
        file.parent.mkdir(exist_ok=True)
        writer = RecordWriter(str(file.resolve()))
        for record in self._records:
            writer.write(record)
        writer.flush()
        writer.close()


def _told(value: float | str) -> float | str:
    """Return a setting as HPARAMS keeps it: a whole number that no float is, as a text."""
    return str(value) if isinstance(value, int) and abs(value) > EXACT else value


def _end(trial: TrialRecord) -> Any:
    """Return what says whether a trial failed."""
    failed = trial.ends["status"] == "failed"
    status = Status.Value("STATUS_FAILURE" if failed else "STATUS_SUCCESS")
    data = HParamsPluginData(session_end_info=SessionEndInfo(status=status), version=0)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    value = Summary.Value(
        tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin)
    )
    return Summary(value=[value])


def _fits(value: float) -> bool:
    """Return whether a number has a likeness in 32 bits: neither inf nor 0 unless it is that."""
    try:
        (near,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return False
    return bool(near) or not value
