"""A transaction that only reads: on copies the next one is asked when the first gives no answer."""

import pytest

from kidoproxy.resp.encode import encode_request
from tests.story import Event, client, copies, lost, node, ring, silence, story, tick, to, to_client, unheard

READS = ("MULTI", "GET k", "HGET h f", "EXEC")
ANSWER = ("+OK", "+QUEUED", "+QUEUED", "*2 $1 x $1 y")
TROUBLE: dict[str, Event] = {
    "it hangs up": lost("a"),
    "it is silent": tick(0.6),
    "it is loading": node("a", "-LOADING soon", "-LOADING soon", "-LOADING soon", "-LOADING soon"),
    "it is busy": node("a", "-BUSY script", "-BUSY script", "-BUSY script", "-BUSY script"),
    "it refuses a command": node("a", "+OK", "-NOPERM no", "+QUEUED", "-EXECABORT because"),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_next_copy(trouble: Event) -> None:
    """Whatever keeps the first copy from answering, the second one does; the client is told nothing of it."""
    assert (
        story(copies("a", "b"))
        >> client(*READS) << to_client("+OK", "+QUEUED", "+QUEUED") << to("a", *READS)
        >> trouble << to("b", *READS) << silence()
        >> node("b", *ANSWER) << to_client("*2 $1 x $1 y")
    )  # fmt: skip


def test_last_copy() -> None:
    """When the last one gives no answer either, its failure stands."""
    assert (
        story(copies("a", "b"))
        >> client(*READS) << to_client("+OK", "+QUEUED", "+QUEUED") << to("a", *READS)
        >> lost("a") << to("b", *READS)
        >> lost("b") << to_client("-NODEDOWN b b:6379 (it closed the connection)")
    )  # fmt: skip


def test_a_copy_that_fell_behind() -> None:
    """What a copy answers that has missed a write meanwhile does not count."""
    pool = copies("a", "b")
    play = story(pool) >> client(*READS) << to_client("+OK", "+QUEUED", "+QUEUED") << to("a", *READS)
    pool.groups[0].mark_behind([pool.nodes[0]])
    assert play >> node("a", *ANSWER) << to("b", *READS) >> node("b", *ANSWER) << to_client("*2 $1 x $1 y")


def test_errors_of_the_request() -> None:
    """An error that any copy would give is the answer."""
    assert (
        story(copies("a", "b"))
        >> client(*READS) << to_client("+OK", "+QUEUED", "+QUEUED") << to("a", *READS)
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 $1 x -WRONGTYPE") << to_client("*2 $1 x -WRONGTYPE")
    )  # fmt: skip


def test_shards_of_copies() -> None:
    """Each shard's part is asked of the shard's next copy."""
    pool = ring(copies("a", "b", name="s"), copies("c", "d", name="t"))
    assert (
        story(pool)
        >> client("MULTI", "GET {s}1", "GET {t}1", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "GET {s}1", "EXEC") << to("c", "MULTI", "GET {t}1", "EXEC")
        >> lost("c") << to("d", "MULTI", "GET {t}1", "EXEC")
        >> node("d", "+OK", "+QUEUED", "*1 $1 y") >> node("a", "+OK", "+QUEUED", "*1 $1 x") << to_client("*2 $1 x $1 y")
    )  # fmt: skip


def test_scripts_by_digest() -> None:
    """The text that a node may not know any more goes ahead of its digest at the next copy too."""
    load = encode_request([b"SCRIPT", b"LOAD", b"return 1"])
    digest = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    sent = ("MULTI", f"EVALSHA_RO {digest} 1 k", "EXEC")
    play = story(copies("a", "b")) >> client(load) << unheard
    for name in "ab":
        assert play >> node(name, f"$40 {digest}") << unheard
    play = play >> client(*sent) << to_client("+OK", "+QUEUED") << to("a", load, *sent)
    assert play >> tick(0.6) << to("b", load, *sent)
    assert play >> node("b", f"$40 {digest}", "+OK", "+QUEUED", "*1 :1") << to_client("*1 :1")


@pytest.mark.parametrize("write", ["SET k v", "GETDEL k", "EVAL return(1) 0"])
def test_writes_are_not_repeated(write: str) -> None:
    """With a write in it nothing is asked twice: the outcome is unknown."""
    play = story(copies("a", "b")) >> client("MULTI", "GET k", write, "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
    play = play << to("a", "MULTI", "GET k", write, "EXEC") << to("b", "MULTI", "GET k", write, "EXEC")
    assert play >> lost("a") << silence() >> lost("b")
