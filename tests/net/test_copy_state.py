"""The record of the copies: on disk before anybody relies on it, read with care, and never a reason not to serve."""

import errno
import fcntl
import json
import logging
import os
from pathlib import Path

import pytest

from kidoproxy.net.copy_state import CopyRecord, StateFile, StateLocked
from kidoproxy.replication.election import make_trusted
from kidoproxy.replication.group import CopyGroup
from kidoproxy.routes.topology import Node


def group(pool: str = "pair", port: int = 6379, names: str = "ab", moved: str = "") -> CopyGroup:
    """Two copies; ``b`` is behind. Those in ``moved`` have another address."""
    nodes = [Node(at, name, f"{name}{'2' if name in moved else ''}:{port}", at + 1) for at, name in enumerate(names)]
    for node in nodes:
        node.run_id = f"run-{node.name}".encode()
    found = CopyGroup(pool, nodes)
    make_trusted(found, found.copies[0])
    return found


def written(folder: Path | None, pool: CopyGroup) -> StateFile:
    """The record of ``pool`` as it is now, on disk."""
    state = StateFile(folder, pool)
    state.write(CopyRecord.of_group(pool))
    return state


def known(state: StateFile) -> tuple[list[str], dict[str, str]]:
    """Who was behind, and the run ids of the others."""
    record = state.read()
    return record.behind, record.runs


def test_written_and_read(tmp_path: Path) -> None:
    """What is behind, and the run ids of what is not; the directory is made, and is ours alone."""
    folder = tmp_path / "deep" / "state"
    pair = group()
    assert known(StateFile(folder, pair)) == ([], {})
    state = written(folder, pair)
    assert known(state) == (["b"], {"a": "run-a"})
    pair.mark_in_sync(pair.copies[1].node)
    written(folder, pair)
    assert known(StateFile(folder, group())) == ([], {"a": "run-a", "b": "run-b"})
    assert state.path is not None
    assert [path.name for path in folder.iterdir()] == [state.path.name]
    assert (folder.stat().st_mode & 0o777, state.path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert json.loads(state.path.read_text()) == {
        "pool": "pair",
        "nodes": {"a": "a:6379", "b": "b:6379"},
        "behind": [],
        "runs": {"a": "run-a", "b": "run-b"},
        "may_hold_more": [],
        "connections": {},
        "cancelled": [],
        "scrub_done_ms": 0,
        "scrub_since_ms": 0,
    }


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (group(port=7000), False),
        (group(names="abc"), False),
        (group(names="ac"), False),
        (group(pool="sessions"), True),
        (group(names="ba"), True),
    ],
    ids=["other servers", "one more", "another one", "pool renamed", "another order"],
)
def test_whose_it_is(tmp_path: Path, other: CopyGroup, same: bool) -> None:
    """It is the record of these servers, whatever the pool is called: nobody else reads it or writes over it."""
    written(tmp_path, group())
    assert (StateFile(tmp_path, other).read().behind == ["b"]) is same
    other.mark_behind([other.copies[0].node])
    written(tmp_path, other)
    assert (StateFile(tmp_path, group()).read().behind == ["b"]) or same


def test_a_node_that_moved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If some of the pool's nodes have new addresses, what was known of them by name still holds."""
    written(tmp_path, group())
    with caplog.at_level(logging.INFO):
        assert known(StateFile(tmp_path, group(moved="b"))) == (["b"], {"a": "run-a"})
    assert "state taken over: pool=pair file=" in caplog.text
    assert known(StateFile(tmp_path, group(moved="ab"))) == ([], {})


def test_record_of_an_older_version(tmp_path: Path) -> None:
    """A record under the pool's name is read if it can be this pool's, with run ids and without."""
    (tmp_path / "pair.copies.json").write_text('{"behind": ["a"]}')
    assert known(StateFile(tmp_path, group())) == (["a"], {})
    (tmp_path / "pair.copies.json").write_text('{"behind": ["a"], "runs": {"z": "of another server"}}')
    assert known(StateFile(tmp_path, group())) == ([], {})


def test_who_may_hold_more_is_known_after_a_restart(tmp_path: Path) -> None:
    """Another proxy knows which copies must not be cut down without an order, until they are in sync or trusted."""
    lossy = group(names="abc")
    make_trusted(lossy, lossy.copies[0], True)
    state = written(tmp_path, lossy)
    later = group(names="abc")
    state.read().restore(later)
    assert [copy.may_hold_more for copy in later.copies] == [False, True, True]
    assert later.run_ids == {"a": "run-a"}
    later.mark_in_sync(later.copies[2].node)
    written(tmp_path, later)
    assert state.read().may_hold_more == ["b"]
    make_trusted(later, later.copies[1])
    written(tmp_path, later)
    again = group(names="abc")
    again.copies[0].may_hold_more = True
    state.read().restore(again)
    assert [copy.may_hold_more for copy in again.copies] == [False] * 3


def test_connections_are_known_to_the_next_proxy(tmp_path: Path) -> None:
    """What carried the writes can be closed by the next proxy, as far as the node has told what it calls it."""
    pair = group(names="abc")
    pair.copies[0].node.last_connection = (b"run-a", b"12")
    pair.copies[1].node.last_connection = (b"run-b", b"")
    state = written(tmp_path, pair)
    later = group(names="abc")
    state.read().restore(later)
    assert [copy.node.last_connection for copy in later.copies] == [(b"run-a", b"12"), (b"", b""), (b"", b"")]


def test_what_a_person_has_decided_and_when_copies_were_scrubbed(tmp_path: Path) -> None:
    """The next proxy does not begin a sync that was cancelled, nor put off a scrub that is due."""
    pair = group()
    pair.copies[1].is_sync_cancelled = True
    pair.scrub.done_ms, pair.scrub.since_ms = 5, 7
    state = written(tmp_path, pair)
    later = group()
    state.read().restore(later)
    assert [copy.is_sync_cancelled for copy in later.copies] == [False, True]
    assert (later.scrub.done_ms, later.scrub.since_ms) == (5, 7)
    later.mark_in_sync(later.copies[1].node)
    written(tmp_path, later)
    assert state.read().cancelled == []


def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is said to hold one; the log says that a second proxy would not be kept away."""

    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    StateFile(tmp_path, group()).lock()
    assert "state not locked: file=" in caplog.text


def test_nowhere() -> None:
    """Without a directory nothing is recorded, and nobody is kept away."""
    state = written(None, group())
    state.lock()
    state.unlock()
    assert known(state) == ([], {})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'{"behind": 5}',
        b'{"behind": [], "runs": 5}',
        b'{"behind": [], "may_hold_more": 5}',
        b'{"behind": [], "connections": {"a": 5}}',
        b'{"behind": [], "cancelled": 5}',
        b'{"behind": [], "scrub_done_ms": Infinity}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_unreadable(tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A record that cannot be understood is logged, and counts as none; the next one replaces it."""
    state = StateFile(tmp_path, group())
    assert state.path is not None
    state.path.write_bytes(text)
    with caplog.at_level(logging.ERROR):
        assert known(state) == ([], {})
    assert f"state unreadable: file={state.path} cause=" in caplog.text
    assert written(tmp_path, group()).read().behind == ["b"]


def test_unwritable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory that cannot be written to is logged, and whoever writes hears why."""
    (tmp_path / "state").write_text("a file is in the way")
    with caplog.at_level(logging.ERROR):
        state = StateFile(tmp_path / "state", group())
        assert state.write(CopyRecord.of_group(state.group)) == "File exists"
        state.lock()
    assert caplog.text.count(f"state unwritable: file={state.path} cause=") == 2


def test_symbolic_links(tmp_path: Path) -> None:
    """What somebody puts in the place of our files is neither written through nor read through."""
    state = StateFile(tmp_path / "state", group())
    assert state.path is not None
    state.path.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_text('{"behind": ["a"]}')
    for path in (state.path, state.path.with_suffix(".new"), state.path.with_suffix(".lock")):
        path.symlink_to(victim)
    state.lock()
    assert known(state) == ([], {})
    state.write(CopyRecord.of_group(group()))
    assert victim.read_text() == '{"behind": ["a"]}'
    assert state.read().behind == ["b"]


def test_locked(tmp_path: Path) -> None:
    """While one process serves these copies a second one learns which; other copies are not affected."""
    first, second = StateFile(tmp_path, group()), StateFile(tmp_path, group(pool="other"))
    assert not first.is_locked()
    first.lock()
    assert second.is_locked()
    with pytest.raises(StateLocked, match=f"process {os.getpid()} serves these copies and keeps their record, /"):
        second.lock()
    StateFile(tmp_path, group(port=7000)).lock()
    first.unlock()
    assert not second.is_locked()
    second.lock()
    assert not StateFile(None, group()).is_locked()
