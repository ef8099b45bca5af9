"""Runs as TensorBoard's event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import struct
from math import inf, isnan
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.errors import UserError
from tests.exports.odd_runs import IDS, odd_run, partial_run, real_run

WHY = "the extra `tensorboard` is not installed: make test-export"
pytest.importorskip("tensorboardX", reason=WHY)
pytest.importorskip("tensorboard", reason=WHY)

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData  # noqa: E402

from gdcli.exports.to_tensorboard import ToTensorboard  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, trial: str) -> EventAccumulator:
    """Return what TensorBoard reads of a trial."""
    (place,) = folder.glob(f"*_{trial}")
    events = EventAccumulator(str(place))
    events.Reload()
    return events


def curve(events: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(name)]


def plugin(events: EventAccumulator, tag: str) -> Any:
    """Return what TensorBoard's HPARAMS reads."""
    content = events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return getattr(HParamsPluginData.FromString(content), tag)


def rounded(value: Any) -> float:
    """Return a number as 32 bits have it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def test_every_point_of_a_real_run_is_there(tmp_path: Path) -> None:
    run = real_run(tmp_path)
    assert ToTensorboard().write(run, (), str(tmp_path / "logs"), overwrite=False) == []
    for trial in run.records():
        events = read(tmp_path / "logs", trial.id)
        for name in ("train_loss", "grad_norm", "test_loss", "train_accuracy", "test_accuracy"):
            points = zip(trial.curve["step"], trial.curve[name], strict=True)
            assert curve(events, name) == [(step, rounded(value)) for step, value in points]
        assert {event.wall_time for event in events.Scalars("train_loss")} == {run.time.timestamp()}


def test_settings_and_ends_are_hyperparameters_and_their_metrics(tmp_path: Path) -> None:
    run = real_run(tmp_path)
    ToTensorboard().write(run, (), str(tmp_path / "logs"), overwrite=False)
    for trial in run.records():
        events = read(tmp_path / "logs", trial.id)
        given = plugin(events, "session_start_info").hparams
        assert given["lr"].number_value == trial.settings["lr"]
        assert given["optimizer"].string_value == "vanilla"
        assert given["status"].string_value == trial.ends["status"] == "finished"
        metrics = [info.name.tag for info in plugin(events, "experiment").metric_infos]
        assert {"final_train_loss", "best_train_loss", "final_test_accuracy"} <= set(metrics)
        assert curve(events, "best_train_loss") == [(3, rounded(trial.ends["best_train_loss"]))]


def test_nan_and_inf_stay_and_what_32_bits_lack_is_left_out(tmp_path: Path) -> None:
    notes = ToTensorboard().write(
        odd_run(tmp_path / "odd"), (), str(tmp_path / "logs"), overwrite=False
    )
    said = "left out: in 32 bits, which TensorBoard has, they would be inf or 0"
    # 1e-300 and 1e300 of the curve; of 1e-300 its places in the summary, facts among them.
    assert notes == [f"8 values are {said}"]
    small, large, odd = (read(tmp_path / "logs", trial) for trial in IDS[:3])
    assert curve(small, "train_loss") == [(0, 9.0), (1, rounded(0.1))]
    assert curve(large, "train_loss") == [(0, 9.0), (2, inf)]
    start, middle, end = curve(odd, "train_loss")
    assert (start, end) == ((0, 9.0), (2, -inf))
    assert isnan(middle[1])


def test_a_failed_trial_has_its_settings_and_its_end(tmp_path: Path) -> None:
    ToTensorboard().write(
        odd_run(tmp_path / "odd"), IDS[3:], str(tmp_path / "logs"), overwrite=False
    )
    events = read(tmp_path / "logs", IDS[3])
    assert events.Tags()["scalars"] == []
    assert plugin(events, "session_start_info").hparams["status"].string_value == "failed"
    assert plugin(events, "session_end_info").status == 2  # STATUS_FAILURE


def test_labels_cannot_name_a_place_outside(tmp_path: Path) -> None:
    ToTensorboard().write(odd_run(tmp_path / "odd"), (), str(tmp_path / "logs"), overwrite=False)
    names = [folder.name for folder in (tmp_path / "logs").iterdir()]
    assert len(names) == 4
    assert all(name.isascii() and name.isprintable() for name in names)
    assert {path.name for path in tmp_path.iterdir()} == {"odd", "logs"}


def test_a_second_export_replaces_the_first_only_when_asked(tmp_path: Path) -> None:
    run, logs = odd_run(tmp_path / "odd"), tmp_path / "logs"
    ToTensorboard().write(run, (), str(logs), overwrite=False)
    first = {file: file.read_bytes() for file in logs.rglob("events*")}
    with pytest.raises(UserError, match="holds event files; give another folder, or --overwrite"):
        ToTensorboard().write(run, (), str(logs), overwrite=False)
    ToTensorboard().write(run, (), str(logs), overwrite=True)
    assert {file: file.read_bytes() for file in logs.rglob("events*")} == first
    ToTensorboard().write(run, IDS[:1], str(logs), overwrite=True)
    assert [path.name.rpartition("_")[2] for path in logs.iterdir()] == IDS[:1]


def test_what_others_wrote_is_never_replaced(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "events.out.tfevents.1.host").write_text("mine")
    with pytest.raises(UserError, match="that are not gdcli's; give another folder"):
        ToTensorboard().write(odd_run(tmp_path / "odd"), (), str(logs), overwrite=True)
    assert [path.name for path in logs.iterdir()] == ["events.out.tfevents.1.host"]


def test_of_a_run_that_is_not_finished_the_stored_trials_are_there(tmp_path: Path) -> None:
    ToTensorboard().write(partial_run(tmp_path), (), str(tmp_path / "logs"), overwrite=False)
    assert len(list((tmp_path / "logs").iterdir())) == 4
