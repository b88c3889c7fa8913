"""How many keys each copy has: from INFO, from DBSIZE where INFO may not be asked, or unknown."""

import pytest

from kidoproxy.copies.answers import Answers, Boss
from kidoproxy.copies.census import Census
from kidoproxy.resp.build import bulk
from kidoproxy.routes.election import UNKNOWN
from tests.story import copies, refused, story
from tests.toy import Stage


class Told(Boss):
    """Counts the ends."""

    def __init__(self) -> None:
        self.ends = 0

    def done(self, answer: Answers) -> None:
        self.ends += 1


@pytest.mark.parametrize(
    ("info", "dbsize", "ready", "keys"),
    [
        (bulk(b"# Keyspace\r\ndb0:keys=3,x=1\r\ndb7:keys=4\r\n"), b":3\r\n", True, 7),
        (bulk(b"# Keyspace\r\n"), b":0\r\n", True, 0),
        (bulk(b"loading:1\r\n# Keyspace\r\n"), b"-LOADING x\r\n", False, UNKNOWN),
        (bulk(b"loading:0\r\n"), b":5\r\n", True, 5),
        (b"-NOPERM no\r\n", b":5\r\n", True, 5),
        (b"-NOPERM no\r\n", b"-NOPERM no\r\n", True, UNKNOWN),
        (b"-NOPERM no\r\n", b":-5\r\n", True, UNKNOWN),
        (b":1\r\n", b"*0\r\n", True, UNKNOWN),
    ],
)
def test_count(info: bytes, dbsize: bytes, ready: bool, keys: int) -> None:
    """What one copy says; one that loads its data is not ready."""
    census = Census([])
    census.ready, census.keys = [False], [UNKNOWN]
    census.count(0, info, dbsize)
    assert (census.ready, census.keys) == ([ready], [keys])


def test_all_are_asked() -> None:
    """The end comes once, when all have answered or failed; with nobody to ask it comes at once."""
    play = story(copies("a", "b", "c"), shy=False)
    stage = Stage(play)
    for name in "ab":
        play.link(name).wake()
    play.settle()
    play.shy = True
    refused("c")(play)
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    census = Census([play.link(name) for name in "abc"])
    told = Told()
    census.begin(told, play.exchange.now)
    assert told.ends == 0
    stage.run()
    census.tell()
    assert (told.ends, census.ready, census.keys) == (1, [True, True, False], [1, 0, UNKNOWN])

    census = Census([play.link("c")])
    told = Told()
    census.begin(told, play.exchange.now)
    assert (told.ends, census.ready) == (1, [False])
