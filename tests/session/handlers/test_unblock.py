"""CLIENT UNBLOCK of a client that waits at a node, or does not wait yet, or not any more."""

import pytest

from tests.greet import LEASED_HANDSHAKE
from tests.session.handlers.leases import free
from tests.story import (
    LEASED,
    Event,
    accepted,
    client,
    given,
    lost,
    node,
    ring,
    silence,
    story,
    to,
    to_client,
    unheard,
)

POPPED = "*2 $4 {a}q $1 x"


def test_unblock() -> None:
    """CLIENT UNBLOCK is put to the node, which decides: what has just come is not lost. The connection stays clean."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    (
        play
        >> client(f"CLIENT UNBLOCK {number} error", name="other")
        << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 ERROR")
        >> node("a", ":1") >> node("a", "-UNBLOCKED no", on=LEASED) << to_client("-UNBLOCKED no") << free(1)
        >> client(f"CLIENT UNBLOCK {number}", name="other") << to_client(":0", name="other")
        >> client("CLIENT UNBLOCK 99", name="other") << to_client(":0", name="other")
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> client(f"CLIENT UNBLOCK {number}", name="other")
        << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", POPPED, on=LEASED) << to_client(POPPED)
        >> node("a", ":0") << free(1) << silence()
    )  # fmt: skip


@pytest.mark.parametrize("bad", [node("a", "-NOPERM no"), lost("a")])
def test_unblock_that_the_node_refuses(bad: Event) -> None:
    """If the node cannot be told, the connection is cut: better an unknown outcome than a client that hangs."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="other")
    play << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
    play >> bad
    heard = play.client("me").received
    assert heard.startswith(b"-NODEDOWN a a:6379 (")
    assert heard.endswith(b"its outcome is unknown\r\n")
    play << given(unheard) << free(0)


def test_unblock_after_the_answer_has_come() -> None:
    """The node's refusal comes when nothing waits any more: nothing happens."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="other")
    play << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
    (play >> node("a", POPPED, on=LEASED) << to_client(POPPED) >> node("a", "-NOPERM no") << free(1) << silence())


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ("BLPOP {a}q 0", "TIMEOUT", "*-1"),
        ("BLPOP {a}q 0", "ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        ("WAIT 1 0", "TIMEOUT", ":0"),
        ("WAITAOF 1 1 0", "TIMEOUT", "*2 :0 :0"),
    ],
)
def test_unblock_before_the_connection_is_ready(asked: str, reason: str, said: str) -> None:
    """Before the handshake nothing was sent: the connection is closed, and the client gets what a node would say."""
    play = story(ring("a"), shy=True) >> client(asked)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number} {reason}", name="other") << to_client(":1", name="other")
    play << to_client(said) << free(0)


def test_unblock_of_a_connection_without_a_client_id() -> None:
    """A node whose ACL hides our own number from us cannot be told whom to let go: the connection is cut."""
    play = (
        story(ring("a"), shy=True)
        >> client("BLPOP {a}q 0")
        >> accepted("a", on=LEASED)
        << to("a", *LEASED_HANDSHAKE, on=LEASED)
    )
    play >> node("a", "$9 kidoproxy", "-NOPERM no", on=LEASED) << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="other") << to_client(":1", name="other")
    assert b"its outcome is unknown" in play.client("me").received
    play << given(unheard) << free(0)
