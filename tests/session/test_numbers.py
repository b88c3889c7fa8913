"""What several workers count: sums, in INFO and PROXY."""

import pytest

from kidoproxy.resp.decode import integer_value, items, string_value
from kidoproxy.resp.encode import bulk
from kidoproxy.session.session import ClientSession
from tests.session.joined import Joined
from tests.session.stage import InMemoryProxy, heard, request, ring, say


def two() -> tuple[Joined, ClientSession]:
    """Two workers, which have both heard an unknown command; the second has two clients more."""
    joined = Joined(ring("a", "b"), ring("a", "b"))
    for stage in joined.stages:
        for at, node in enumerate(stage.nodes):
            node.node_id = 70 + at
        stage.ready()
    me = joined.stages[0].client(local="127.0.0.1:7000")
    for client in (me, joined.stages[1].client(), joined.stages[1].client()):
        say(client, "DEBUG", "SLEEP", "0")
    return joined, me


def stats(joined: Joined, session: ClientSession) -> dict[bytes, int]:
    flat = items(joined.say(session, "PROXY", "STATS"))
    return {string_value(flat[at]): integer_value(flat[at + 1]) for at in range(0, len(flat), 2)}


def fields(raw: bytes) -> dict[str, str]:
    lines = string_value(raw).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_stats() -> None:
    """Each counter is a sum; the reply says how many workers are in it."""
    joined, me = two()
    found = stats(joined, me)
    assert (found[b"workers"], found[b"workers_answered"]) == (2, 2)
    assert (found[b"connected_clients"], found[b"connected_clients_of_all_pools"]) == (3, 3)
    assert (found[b"total_commands_processed"], found[b"refused_commands"]) == (3, 3)
    assert found[b"uptime_in_seconds"] == 90
    leaving = joined.stages[1].client()
    leaving.close()  # it counts as connected until its socket is closed
    assert fields(joined.say(me, "INFO", "kidoproxy"))["connected_clients"] == "4"
    joined.silent = {1}
    found = stats(joined, me)
    assert (found[b"workers"], found[b"workers_answered"], found[b"connected_clients"]) == (2, 1, 1)


def tell(stage: InMemoryProxy, text: bytes) -> None:
    """The nodes give INFO."""
    for name in ("a", "b"):
        stage.connection(name).feed(bulk(text), 0.0)


@pytest.mark.parametrize("nodes_answer", [True, False])
def test_info(nodes_answer: bool) -> None:
    """With the nodes' sections and without."""
    joined, me = two()
    me.feed(request("INFO"))
    if nodes_answer:
        tell(joined.stages[0], b"# Clients\r\nconnected_clients:50\r\n\r\n# Errorstats\r\nerrorstat_X:count=1\r\n")
    else:
        for name in ("a", "b"):
            joined.stages[0].connection(name).on_connection_lost("it closed the connection", 0.0, True)
    assert heard(me) == b""
    joined.deliver()
    found = fields(heard(me))
    assert (found["connected_clients"], found["workers"], found["errorstat_ERR"]) == ("3", "2", "count=3")
    assert fields(joined.say(me, "INFO", "kidoproxy"))["connected_clients"] == "3"


def test_nodes() -> None:
    """Connections are sums. A node that is down for one worker is not up."""
    joined, me = two()
    shown = items(joined.say(me, "PROXY", "NODES"))
    flat = items(shown[0])
    assert flat[flat.index(bulk(b"links")) + 1] == b":2\r\n"
    joined.stages[1].node("a").live = False
    joined.stages[1].node("b").suspect = True
    first, second = [items(row) for row in items(joined.say(me, "PROXY", "NODES"))]
    assert string_value(first[first.index(bulk(b"state")) + 1]) == b"down"
    assert string_value(first[first.index(bulk(b"cause")) + 1]) == b"down for 1 of 2 workers"
    assert string_value(second[second.index(bulk(b"state")) + 1]) == b"suspect"
