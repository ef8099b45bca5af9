"""Shards: whole ones come back, all others are not there."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdcli.errors import UserError
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.runs.atomic import TEMPORARY
from gdcli.runs.spec import differences, differing
from gdcli.runs.store import Shard, Store

SPEC = {
    "format": 3,
    "batches": 3,
    "engine": "auto",
    "fingerprint": {},
    "experiment": "abc",
    "settings": {"grid": {"lr": [0.1]}},
    "data": {"x": "1"},
}
OTHER = {**SPEC, "experiment": "other", "settings": {"grid": {"lr": [0.2]}}}
SHARD = Shard(b"a,1\nb,2\n", b"a,finished\n", seconds=0.5, failed=1, diverged=2)


def opened(folder: Path) -> Store:
    """Return a store that can be saved to."""
    store = Store(folder, SPEC)
    store.open(overwrite=False)
    return store


def file_of(store: Store, index: int) -> Path:
    """Return the only file that saving a shard makes."""
    before = set(store.shards.iterdir())
    store.save(index, SHARD)
    (file,) = set(store.shards.iterdir()) - before
    return file


lines = st.binary(max_size=60)


@settings(max_examples=50)
@given(
    shard=st.builds(
        Shard,
        lines,
        lines,
        st.floats(0, allow_infinity=False),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    index=st.integers(0, 2_000_000),
)
def test_a_shard_comes_back_as_it_was_saved(shard: Shard, index: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = opened(Path(folder))
        assert store.load(index) is None
        store.save(index, shard)
        assert store.load(index) == shard
        assert Store(Path(folder), SPEC).load(index) == shard


def test_a_shard_cut_anywhere_is_not_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    file = file_of(store, 0)
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        assert store.load(0) is None, end
    for more in (b"\n", b" ", b"\0", whole):
        file.write_bytes(whole + more)
        assert store.load(0) is None, more
    file.write_bytes(whole)
    assert store.load(0) == SHARD


def test_a_shard_with_any_bit_flipped_is_not_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    file = file_of(store, 0)
    flipped = bytearray(file.read_bytes())
    for place in range(len(flipped)):
        for bit in range(8):
            flipped[place] ^= 1 << bit
            file.write_bytes(flipped)
            assert store.load(0) is None, (place, bit)
            flipped[place] ^= 1 << bit
    file.write_bytes(flipped)
    assert store.load(0) == SHARD


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path, bytes]:
    """Return a store, the file of its only shard, and the file's content."""
    store = opened(tmp_path_factory.mktemp("run"))
    file = file_of(store, 0)
    return store, file, file.read_bytes()


@settings(max_examples=200)
@given(data=st.data())
def test_a_shard_with_other_bytes_is_not_there_or_says_the_same(
    kept: tuple[Store, Path, bytes], data: st.DataObject
) -> None:
    store, file, whole = kept
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    changed = whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:]
    file.write_bytes(changed)
    # White space in the head, say, changes nothing.
    assert store.load(0) in (None, SHARD)
    assert changed != whole or store.load(0) == SHARD


@pytest.mark.parametrize("text", [b"", b"\n", b"null\n", b"[]\n", b"3\n", b"{}\n", b"\xff\xfe\n"])
def test_what_is_no_shard_is_not_there(tmp_path: Path, text: bytes) -> None:
    store = opened(tmp_path)
    file_of(store, 0).write_bytes(text)
    assert store.load(0) is None


def test_a_shard_of_another_experiment_or_batch_is_not_there(tmp_path: Path) -> None:
    store = opened(tmp_path / "a")
    file = file_of(store, 0)
    assert Store(tmp_path / "a", OTHER).load(0) is None
    file_of(store, 1).write_bytes(file.read_bytes())
    assert store.load(1) is None
    assert store.load(0) == SHARD
    elsewhere = Store(tmp_path / "b", OTHER)
    elsewhere.open(overwrite=False)
    file_of(elsewhere, 0).write_bytes(file.read_bytes())
    assert elsewhere.load(0) is None


@pytest.mark.parametrize(
    "shard",
    [
        SHARD._replace(curves=bytes(3 * 2**20)),  # as in a file with holes: no lines at all
        SHARD._replace(summary=b"\n" * (MOST_TRIALS + 1)),
    ],
)
def test_a_shard_that_is_no_part_of_a_table_is_not_there(tmp_path: Path, shard: Shard) -> None:
    store = opened(tmp_path)
    store.save(0, shard)
    assert store.load(0) is None


def test_the_order_of_a_spec_does_not_matter(tmp_path: Path) -> None:
    opened(tmp_path).save(0, SHARD)
    turned = Store(tmp_path, dict(reversed(SPEC.items())))
    turned.open(overwrite=False)
    assert turned.load(0) == SHARD


def test_a_folder_is_made_with_what_identifies_its_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "run"
    opened(folder)
    assert json.loads((folder / ".gdcli" / "spec.json").read_bytes()) == SPEC


def test_a_folder_is_taken_up_again(tmp_path: Path) -> None:
    opened(tmp_path / "run").save(3, SHARD)
    (tmp_path / "run" / "curves.csv").write_text("")
    assert opened(tmp_path / "run").load(3) == SHARD


def test_a_folder_of_another_experiment_is_refused_with_the_difference(tmp_path: Path) -> None:
    opened(tmp_path / "run").save(0, SHARD)
    with pytest.raises(UserError) as caught:
        Store(tmp_path / "run", OTHER).open(overwrite=False)
    line = f"{tmp_path / 'run'} holds another run, which differs in settings.grid.lr [0.1] -> [0.2]"
    assert caught.value.what == line
    assert "--overwrite" in caught.value.fix
    assert opened(tmp_path / "run").load(0) == SHARD


def test_another_fingerprint_is_refused_with_both_values(tmp_path: Path) -> None:
    made = {**SPEC, "fingerprint": {"numpy": "2.3.0", "threads": "1"}}
    Store(tmp_path, made).open(overwrite=False)
    now = {**SPEC, "fingerprint": {"numpy": "2.4.0", "threads": "1"}}
    with pytest.raises(UserError) as caught:
        Store(tmp_path, now).open(overwrite=False)
    difference = "which differs in fingerprint.numpy 2.3.0 -> 2.4.0"
    assert caught.value.what == f"{tmp_path} was begun elsewhere, {difference}"
    assert caught.value.fix == "go on there, give another --name, or --overwrite to start again"


def test_a_difference_names_settings_with_dots_and_cuts_long_values() -> None:
    held = {"settings": {"vary": {"momentum.beta": [0.5]}, "grid": {"lr": list(range(99))}}}
    spec = {"settings": {"vary": {"momentum.beta": [0.9]}, "grid": {}}}
    said = differences(held, spec)
    assert "settings.vary.momentum.beta [0.5] -> [0.9]" in said
    assert "settings.grid.lr [0, 1, 2, " in said
    assert "... -> none, " in said


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_links)
    opened(tmp_path).save(0, SHARD)
    assert opened(tmp_path).load(0) == SHARD


def test_a_temporary_file_that_another_process_cleared_away_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, sync = opened(tmp_path), os.fsync

    def cleared(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        store.clear_temporaries()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", cleared)
    store.save(0, SHARD)
    assert store.load(0) == SHARD


def test_overwriting_starts_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    opened(folder).save(0, SHARD)
    (folder / "curves.csv").write_text("old")
    other = Store(folder, OTHER)
    other.open(overwrite=True)
    assert other.load(0) is None
    assert [entry.name for entry in folder.iterdir()] == [".gdcli"]
    other.open(overwrite=False)


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_no_run_is_never_touched(tmp_path: Path, overwrite: bool) -> None:  # noqa: FBT001
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        Store(folder, SPEC).open(overwrite=overwrite)
    assert [entry.name for entry in folder.iterdir()] == ["chapter.tex"]
    with pytest.raises(UserError, match=r"chapter.tex is a file"):
        Store(folder / "chapter.tex", SPEC).open(overwrite=overwrite)
    with pytest.raises(UserError, match=r"chapter.tex is a file; give another --name or --output"):
        Store(folder / "chapter.tex" / "results" / "run", SPEC).open(overwrite=overwrite)
    assert (folder / "chapter.tex").read_text() == "years of work"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    opened(tmp_path).save(0, SHARD)
    assert opened(tmp_path).load(0) == SHARD


def test_a_process_killed_before_it_wrote_the_spec_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".gdcli" / "shards").mkdir(parents=True)
    (tmp_path / ".gdcli" / f"{TEMPORARY}1-2").write_bytes(b'{"half')
    opened(tmp_path).save(0, SHARD)
    assert opened(tmp_path).load(0) == SHARD


@pytest.mark.parametrize("text", [b"", b"{", b"[]\n", b"\xff"])
def test_a_damaged_spec_is_refused(tmp_path: Path, text: bytes) -> None:
    opened(tmp_path)
    (tmp_path / ".gdcli" / "spec.json").write_bytes(text)
    with pytest.raises(UserError, match=r"spec\.json is damaged; give another --name, or --over"):
        Store(tmp_path, SPEC).open(overwrite=False)
    Store(tmp_path, SPEC).open(overwrite=True)
    opened(tmp_path)


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.save(0, SHARD)
    folders = [tmp_path, tmp_path / ".gdcli", store.shards]
    for folder in folders:
        (folder / f"{TEMPORARY}{2**22 + 1}-abc").write_bytes(b"half")
    store.clear_temporaries()
    assert not [file for folder in folders for file in folder.glob(f"{TEMPORARY}*")]
    assert store.load(0) == SHARD


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_place_of_the_checkpoints_is_not_waited_for(tmp_path: Path) -> None:
    store = opened(tmp_path)
    os.mkfifo(store.checkpoints)
    (store.shards / f"{TEMPORARY}folder").mkdir()
    store.clear_temporaries()
    (store.shards / f"{TEMPORARY}folder").rmdir()
    store.open(overwrite=True)


def test_differing_keys_are_named_with_their_path() -> None:
    a = {"x": 1, "y": {"p": 1, "q": [1, 2]}, "only": 0}
    b = {"x": 1, "y": {"p": 2, "q": [1, 2], "r": 0}}
    assert list(differing(a, b)) == ["only", "y.p", "y.r"]
    assert list(differing(a, dict(a))) == []
    assert list(differing({"x": (1, 2)}, {"x": [1, 2]})) == []


def test_overwriting_leaves_other_peoples_files(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    opened(folder).save(0, SHARD)
    (folder / "notes.txt").write_text("mine")
    store = Store(folder, OTHER)
    store.open(overwrite=True)
    assert store.load(0) is None
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_link_to_a_folder_is_overwritten_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    opened(tmp_path / "link").save(0, SHARD)
    store = Store(tmp_path / "link", OTHER)
    store.open(overwrite=True)
    assert (tmp_path / "real" / ".gdcli").is_dir()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UserError, match="a link to nothing"):
        Store(tmp_path / "dangling", SPEC).open(overwrite=False)
