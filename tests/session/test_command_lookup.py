"""Asking a node about a command that the table does not know: the session waits, and nobody else."""

from kidoproxy.resp.encode import array, bulk, integer
from tests.story import client, gone, lost, node, ring, silence, story, to, to_client

ROW = array([array([bulk(b"x.get"), integer(2), b"*1\r\n+readonly\r\n", integer(1), integer(1), integer(1)])])


def test_only_this_client_waits() -> None:
    """Others go on; what one node said is known to all."""
    (
        story(ring("a"))
        >> client("X.GET {a}1", "PING") << to("a", "COMMAND INFO X.GET")
        >> client("PING", name="you") << to_client("+PONG", name="you")
        >> node("a", ROW) << to("a", "X.GET {a}1")
        >> client("X.GET {a}2", name="you") << to("a", "X.GET {a}2")
        >> node("a", "$1 x", "$1 y") << to_client("$1 x", "+PONG") << to_client("$1 y", name="you") << silence()
    )  # fmt: skip


def test_full_name_of_a_subcommand() -> None:
    """``CONFIG|GET x`` is an unknown command as in Redis, and no node is asked, though it would know the name."""
    (
        story(ring("a"))
        >> client("CONFIG|GET x", "GET|")
        << to_client(
            "-ERR unknown command 'CONFIG|GET', with args beginning with: 'x' ",
            "-ERR unknown command 'GET|', with args beginning with: ",
        )
        << silence()
    )  # fmt: skip


def test_client_gone() -> None:
    """What a client has sent that hangs up before the answer is run, and leaves the knowledge behind."""
    play = story(ring("a")) >> client("X.GET {a}1") << to("a", "COMMAND INFO X.GET") >> gone()
    assert play >> node("a", ROW) << to("a", "X.GET {a}1") >> node("a", "$-1") << silence()
    assert not play.proxy.sessions
    assert b"x.get" in play.context.commands.discovered


def test_failure() -> None:
    """A node that dies under the question is the answer; the next client may ask again."""
    (
        story(ring("a"))
        >> client("X.GET {a}1", "PING") << to("a", "COMMAND INFO X.GET")
        >> lost("a") << to_client("-NODEDOWN a a:6379 (it closed the connection)", "+PONG")
        >> client("X.GET {a}1") << to("a", "COMMAND INFO X.GET") << silence()
    )  # fmt: skip
