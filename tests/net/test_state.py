"""The record of the copies: on disk before anybody relies on it, read with care, and never a reason not to serve."""

import json
import logging
from pathlib import Path

import pytest

from kidoproxy.net.state import StateFile
from kidoproxy.routes.topology import CopyGroup, Node


def group() -> CopyGroup:
    """Two copies; ``b`` is behind."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    for node in nodes:
        node.run_id = f"run-{node.name}".encode()
    found = CopyGroup("pair", nodes)
    found.elect(["b"])
    return found


def test_written_and_read(tmp_path: Path) -> None:
    """What is behind, and the run ids of what is not; the directory is made."""
    state = StateFile(tmp_path / "deep" / "state", "pair")
    assert state.read() == ([], {})
    pair = group()
    state.write(pair)
    assert state.read() == (["b"], {"a": "run-a"})
    pair.admit(pair.copies[1].node)
    state.write(pair)
    assert StateFile(tmp_path / "deep" / "state", "pair").read() == ([], {"a": "run-a", "b": "run-b"})
    assert StateFile(tmp_path / "deep" / "state", "other").read() == ([], {})
    assert [path.name for path in (tmp_path / "deep" / "state").iterdir()] == ["pair.copies.json"]


def test_journal(tmp_path: Path) -> None:
    """As the group's journal it is on disk when `leave` returns: before the write is acknowledged."""
    state = StateFile(tmp_path, "pair")
    pair = group()
    pair.journal = state.write
    pair.admit(pair.copies[1].node)
    pair.leave([pair.copies[0].node])
    assert json.loads((tmp_path / "pair.copies.json").read_text()) == {"behind": ["a"], "runs": {"b": "run-b"}}


def test_nowhere() -> None:
    """Without a directory nothing is recorded."""
    state = StateFile(None, "pair")
    state.write(group())
    assert state.read() == ([], {})


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"5", b"null", b'{"behind": 5}', b'{"behind": [], "runs": 5}', b"\xff", b"[" * 100_000]
)
def test_unreadable(tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A record that cannot be understood is told, and counts as none; the next one replaces it."""
    (tmp_path / "pair.copies.json").write_bytes(text)
    state = StateFile(tmp_path, "pair")
    with caplog.at_level(logging.ERROR):
        assert state.read() == ([], {})
    assert f"state unreadable: file={tmp_path / 'pair.copies.json'} cause=" in caplog.text
    state.write(group())
    assert state.read()[0] == ["b"]


def test_record_of_an_older_version(tmp_path: Path) -> None:
    """A record without run ids is read as it is."""
    (tmp_path / "pair.copies.json").write_text('{"behind": ["a"]}')
    assert StateFile(tmp_path, "pair").read() == (["a"], {})


def test_unwritable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory that cannot be written to is told, and the pool serves on."""
    (tmp_path / "state").write_text("a file is in the way")
    with caplog.at_level(logging.ERROR):
        StateFile(tmp_path / "state", "pair").write(group())
    assert f"state unwritable: file={tmp_path / 'state' / 'pair.copies.json'} cause=" in caplog.text
