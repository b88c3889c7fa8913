"""How many keys each copy has: from INFO, from DBSIZE where INFO may not be asked, or unknown."""

import pytest

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.census import Census
from kidoproxy.replication.election import UNKNOWN_KEY_COUNT
from kidoproxy.resp.encode import bulk
from tests.story import copies, refused, story
from tests.toy import ToyNodes


class EndCounter(Callback):
    """Counts how often it is called."""

    def __init__(self) -> None:
        self.ends = 0

    def on_done(self, batch_reply: BatchReply) -> None:
        self.ends += 1


@pytest.mark.parametrize(
    ("info", "dbsize", "ready", "keys"),
    [
        (bulk(b"# Keyspace\r\ndb0:keys=3,x=1\r\ndb7:keys=4\r\n"), b":3\r\n", True, 7),
        (bulk(b"# Keyspace\r\n"), b":0\r\n", True, 0),
        (bulk(b"loading:1\r\n# Keyspace\r\n"), b"-LOADING x\r\n", False, UNKNOWN_KEY_COUNT),
        (bulk(b"loading:0\r\n"), b":5\r\n", True, 5),
        (b"-NOPERM no\r\n", b":5\r\n", True, 5),
        (b"-NOPERM no\r\n", b"-NOPERM no\r\n", True, UNKNOWN_KEY_COUNT),
        (b"-NOPERM no\r\n", b":-5\r\n", True, UNKNOWN_KEY_COUNT),
        (b":1\r\n", b"*0\r\n", True, UNKNOWN_KEY_COUNT),
    ],
)
def test_what_one_copy_says(info: bytes, dbsize: bytes, ready: bool, keys: int) -> None:
    """What one copy says; one that loads its data is not ready."""
    census = Census([])
    census.is_loaded, census.key_counts = [False], [UNKNOWN_KEY_COUNT]
    census.on_replies(0, info, dbsize)
    assert (census.is_loaded, census.key_counts) == ([ready], [keys])


def test_all_are_asked() -> None:
    """The callback is called once, when all have answered or failed; with nobody to ask at once."""
    play = story(copies("a", "b", "c"), shy=False)
    stage = ToyNodes(play)
    for name in "ab":
        play.connection(name).start_connecting()
    play.settle()
    play.shy = True
    refused("c")(play)
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    census = Census([play.connection(name) for name in "abc"])
    counter = EndCounter()
    census.begin(counter, play.executor.now)
    assert counter.ends == 0
    stage.run()
    census.finish()
    assert (counter.ends, census.is_loaded, census.key_counts) == (1, [True, True, False], [1, 0, UNKNOWN_KEY_COUNT])

    census = Census([play.connection("c")])
    counter = EndCounter()
    census.begin(counter, play.executor.now)
    assert (counter.ends, census.is_loaded) == (1, [False])
