"""A short run of the fuzzer, with seeds that are always the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.resp.replication_errors import not_with_leader
from tests.fuzz.__main__ import lockstep_of, round_of
from tests.fuzz.contract import Fuzzer, Transcript, instead_of, is_refusal, same
from tests.fuzz.liar import lying
from tests.live.proxies import starter

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    """A ring of three, and one server."""
    with starter(tmp_path_factory.mktemp("fuzz")) as start, EmbeddedNodes() as nodes:
        yield Fuzzer(start("ring", 3, timeout_ms=5000), nodes.start(1)[0], 0)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    """Two copies, and one server."""
    with starter(tmp_path_factory.mktemp("fuzz")) as start, EmbeddedNodes() as nodes:
        yield Fuzzer(start("copy", 2, timeout_ms=5000), nodes.start(1)[0], 0, copies=True)


@pytest.mark.parametrize("seed", range(12))
def test_contract(fuzzer: Fuzzer, seed: int) -> None:
    """A ring answers as one server does, holds the same, and survives any bytes."""
    round_of(fuzzer, seed)


@pytest.mark.parametrize("seed", range(12))
def test_contract_of_copies(copies: Fuzzer, seed: int) -> None:
    """Copies answer as one server does, and each holds what it holds."""
    round_of(copies, seed)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    """A ring of one, and one server."""
    with starter(tmp_path_factory.mktemp("fuzz")) as start, EmbeddedNodes() as nodes:
        yield Fuzzer(start("ring", 1, timeout_ms=5000), nodes.start(1)[0], 0)


@pytest.mark.parametrize("seed", range(3))
def test_conversations(single: Fuzzer, seed: int) -> None:
    """With one node two clients hear, step by step, what the server itself would say."""
    lockstep_of(single, seed)


@pytest.mark.parametrize("seed", range(3))
def test_conversations_on_a_ring(fuzzer: Fuzzer, seed: int) -> None:
    """With three nodes it is the same, or a documented refusal; nobody is left waiting."""
    lockstep_of(fuzzer, seed)


@pytest.mark.parametrize("mode", ["ring", "copy"])
def test_a_node_that_lies(tmp_path: Path, mode: str) -> None:
    """Whatever it says, each request has one reply, the other node's keys are served, and its own are soon again."""
    with starter(tmp_path) as start, lying(start, mode) as trial:
        for seed in range(8):
            trial.round(seed)


def test_what_may_differ() -> None:
    """Only an order that is free, or a documented refusal, is forgiven."""
    assert same([b"SMEMBERS", b"k"], b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n")
    assert not same([b"LRANGE", b"k", b"0", b"1"], b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n")
    assert not same([b"GET", b"k"], b"$1\r\na\r\n", b"$-1\r\n")
    assert is_refusal(b"-CROSSSLOT Keys in request\r\n")
    assert not is_refusal(b"-NODEDOWN a\r\n")


def test_a_transaction_that_is_refused_whole() -> None:
    """The oracle discards its own; nothing is left over for the next one."""
    refused = not_with_leader(b"move", b"spop")
    assert instead_of([b"EXEC"], refused) == [b"DISCARD"]
    assert instead_of([b"MOVE"], b"-CROSSSLOT no\r\n") == [b"nosuch"]
    assert instead_of([b"EXEC"], b"*0\r\n") == [b"EXEC"]
    transcript = Transcript()
    transcript.fits([b"get", b"k"], b"+QUEUED\r\n", b"+QUEUED\r\n")
    assert transcript.fits([b"exec"], b"+OK\r\n", refused)
    assert not transcript.fits([b"exec"], b"*0\r\n", refused)
    assert transcript.fits([b"exec"], b"*0\r\n", b"*0\r\n")


def test_transaction() -> None:
    """The replies in a transaction are compared by the commands that it has queued."""
    transcript = Transcript()
    transcript.fits([b"multi"], b"+OK\r\n", b"+OK\r\n")
    transcript.fits([b"smembers", b"k"], b"+QUEUED\r\n", b"+QUEUED\r\n")
    assert transcript.fits([b"exec"], b"*1\r\n*2\r\n+a\r\n+b\r\n", b"*1\r\n*2\r\n+b\r\n+a\r\n")
    transcript.fits([b"multi"], b"+OK\r\n", b"+OK\r\n")
    transcript.fits([b"get", b"k"], b"+QUEUED\r\n", b"+QUEUED\r\n")
    assert not transcript.fits([b"exec"], b"*1\r\n$1\r\na\r\n", b"*1\r\n$1\r\nb\r\n")
