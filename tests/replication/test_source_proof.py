"""Nothing is deleted or overwritten unless the source is in sync, is another server, and has answered just now."""

import pytest

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.group import BEHIND
from kidoproxy.replication.source_proof import MAX_SOURCE_SILENCE, SourceVerifier
from tests.story import copies, lost, refused, restarted, story, tick
from tests.toy import ToyNodes


class Outcome(Callback):
    """Keeps what the callback is told."""

    def __init__(self) -> None:
        self.problem: str | None = None

    def on_done(self, batch_reply: BatchReply) -> None:
        assert self.problem is None
        self.problem = batch_reply.problem


def ready(same: bool = False, silent: str = "") -> ToyNodes:
    """Two copies, or one server under two names; those in ``silent`` do not tell their run id."""
    play = story(copies("a", "b", behind="b"))
    stage = ToyNodes(play)
    for name in "ab":
        play.connection(name).start_connecting()
    play.settle()
    if same:
        stage.toys["b"] = stage.toys["a"]
        play.run_ids["b"] = play.run_ids["a"]
    for name in silent:
        stage.toys[name].lies[b"INFO"] = b"-NOPERM no\r\n"
    return stage


def run_prover(stage: ToyNodes) -> tuple[SourceVerifier, str | None]:
    """Let the nodes answer until it is over."""
    play = stage.play
    prover = SourceVerifier(play.executor, play.pool.groups[0], play.node("a"), play.node("b"), play.proxy.wall_ms)
    outcome = Outcome()
    prover.begin(outcome)
    stage.run()
    return prover, outcome.problem


SAME = "it is the same server as a (one run id); name each server once"


@pytest.mark.parametrize("silent", ["", "a", "b", "ab"])
def test_two_servers_or_one(silent: str) -> None:
    """By their run ids; if one does not tell it, by a key that must not be found where it was not written."""
    stage = ready(silent=silent)
    prover, problem = run_prover(stage)
    assert problem == ""
    assert prover.proof.write_refusal(stage.play.executor.now) == ""
    assert not any(toy.dbs.get(0) for toy in stage.toys.values())
    assert any(seen.startswith(b"SET ") for seen in stage.toys["b"].seen) is bool(silent)

    stage = ready(same=True, silent=silent)
    prover, problem = run_prover(stage)
    assert problem == SAME
    assert prover.proof.write_refusal(stage.play.executor.now) != ""


def misbehaving(name: str, word: bytes, reply: bytes) -> ToyNodes:
    """One of the two replies like this, and ``b`` does not tell its run id."""
    stage = ready(silent="b")
    stage.toys[name].lies[word] = reply
    return stage


@pytest.mark.parametrize(
    ("name", "word", "reply", "problem"),
    [
        ("b", b"SET", b"-NOPERM no\r\n", "nobody can say whether they are two servers: NOPERM no"),
        ("b", b"SET", b"$-1\r\n", "nobody can say whether they are two servers: a marker could not be written"),
        ("b", b"SET", b"*0\r\n", "nobody can say whether they are two servers: a marker could not be written"),
        ("a", b"EXISTS", b"-NOPERM no\r\n", "nobody can say whether they are two servers: NOPERM no"),
        ("a", b"EXISTS", b"+OK\r\n", "nobody can say whether they are two servers: the answer to EXISTS is no number"),
        ("a", b"EXISTS", b":7\r\n", "nobody can say whether they are two servers: the answer to EXISTS is no number"),
        ("b", b"DEL", b"-NOPERM no\r\n", "NOPERM no"),
    ],
)
def test_what_cannot_be_proved(name: str, word: bytes, reply: bytes, problem: str) -> None:
    """A node that prevents the proof prevents the sync."""
    assert run_prover(misbehaving(name, word, reply))[1] == problem


@pytest.mark.parametrize(
    ("name", "line", "problem"),
    [
        ("a", "role:slave", "a is a replica, its data is another server's"),
        ("a", "loading:1", "a or b is still loading its data"),
        ("b", "loading:1", "a or b is still loading its data"),
    ],
)
def test_a_server_that_cannot_be_a_source(name: str, line: str, problem: str) -> None:
    """A source that follows another server, the target perhaps, is none; nor is one whose data is not there yet."""
    stage = ready()
    stage.toys[name].info = [line]
    assert run_prover(stage)[1] == problem


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_connection_is_lost_meanwhile(name: str) -> None:
    """No answer is no proof; what comes after the end changes nothing."""
    stage = ready()
    play = stage.play
    prover = SourceVerifier(play.executor, play.pool.groups[0], play.node("a"), play.node("b"), 0)
    outcome = Outcome()
    prover.begin(outcome)
    play.settle()
    play.sent[name].clear()
    lost(name)(play)
    stage.run()
    assert outcome.problem == f"NODEDOWN {name} (it closed the connection)"
    prover.finish("")
    assert not prover.proof.is_valid()


def test_a_proof_ends() -> None:
    """With either connection, with the source's standing, and with its silence."""
    for event, refusal in (
        (lost("a"), "the connection to a or b was lost meanwhile"),
        (lost("b"), "the connection to a or b was lost meanwhile"),
        (restarted("b"), "the connection to a or b was lost meanwhile"),
        (refused("b"), "NODEDOWN b (connection refused)"),
        (refused("a"), "NODEDOWN a (connection refused)"),
        (restarted("a"), "a, from which it was copied, fell behind meanwhile"),
    ):
        stage = ready()
        prover, problem = run_prover(stage)
        assert problem == ""
        stage.play.shy = "refused" in refusal
        event(stage.play)
        stage.play.settle()
        assert prover.proof.write_refusal(stage.play.executor.now) == refusal

    stage = ready()
    prover, _ = run_prover(stage)
    late = stage.play.executor.now + MAX_SOURCE_SILENCE + 1
    assert prover.proof.write_refusal(late) == "a has not answered for 6 s"
    stage.play.pool.groups[0].copies[0].state = BEHIND
    assert prover.proof.write_refusal(stage.play.executor.now) == "a, from which it was copied, fell behind meanwhile"


def test_a_source_may_have_lost_its_data() -> None:
    """Between two proofs, if it is another run, or does not tell which run it is and had to be connected to again."""

    def lost_between(silent: str, event: str) -> bool:
        stage = ready(silent=silent)
        for name in silent:
            stage.play.run_ids[name] = ""
            lost(name)(stage.play)
            stage.play.settle()
        first, _ = run_prover(stage)
        if event == "lost":
            lost("a")(stage.play)
        elif event == "restarted":
            restarted("a")(stage.play)
        # A node that was lost right after it was connected is not tried again at once.
        tick(1.0)(stage.play)
        stage.run()
        stage.play.pool.groups[0].elected = True
        second, _ = run_prover(stage)
        return first.proof.source_may_have_lost_data(second.proof)

    assert not lost_between("", "")
    assert not lost_between("", "lost")
    assert lost_between("", "restarted")
    assert not lost_between("a", "")
    assert lost_between("a", "lost")
