"""Clients of copies that write without end, and what must hold of what was acknowledged."""

import random
import time
from typing import Any, Final

import redis

from tests.live.contents import Crowd
from tests.live.proxies import RunningProxy
from tests.wait import eventually

DATABASES: Final = (0, 1, 5)


class Acknowledged:
    """Writers of keys of their own that remember what was acknowledged, and readers that must find just that."""

    def __init__(self, proxy: RunningProxy, writers: int = 4) -> None:
        self.proxy = proxy
        self.acked = [-1] * writers
        self.errors: list[str] = []

    def join(self, crowd: Crowd, readers: int = 2) -> None:
        """Let them begin."""
        for number in range(len(self.acked)):
            crowd.join(Writer(self, number).step)
        for number in range(readers):
            crowd.join(Reader(self, number).step)

    def total(self) -> int:
        """How many writes have been acknowledged."""
        return sum(self.acked) + len(self.acked)

    def go_on(self, crowd: Crowd, count: int = 100) -> None:
        """Wait for so many more."""
        goal = self.total() + count
        eventually(lambda: crowd.problems or self.total() >= goal, 30)
        assert not crowd.problems, crowd.problems


class Writer:
    """Sets keys of its own, one after another; each once more if its outcome is unknown."""

    def __init__(self, whole: Acknowledged, number: int) -> None:
        self.whole = whole
        self.number = number
        self.client = whole.proxy.client(protocol=2 + number % 2)

    def step(self, turn: int) -> None:
        """The next write."""
        number, acked = self.number, self.whole.acked
        at = acked[number] + 1
        try:
            assert self.client.set(f"w{number}:{at}", at)
        except redis.ResponseError as problem:
            self.whole.errors.append(str(problem))
        else:
            acked[number] = at


class Reader:
    """Reads any key that was acknowledged, most often one of the last."""

    def __init__(self, whole: Acknowledged, number: int) -> None:
        self.whole = whole
        self.client = whole.proxy.client(protocol=3 - number % 2)
        self.dice = random.Random(number)

    def step(self, turn: int) -> None:
        """One read."""
        number = self.dice.randrange(len(self.whole.acked))
        last = self.whole.acked[number]
        if last >= 0:
            at = last if turn % 2 else self.dice.randrange(last + 1)
            assert self.client.get(f"w{number}:{at}") == b"%d" % at


class Restless:
    """Writes that a half-filled copy would answer differently: hot keys, and several keys at once, of all types."""

    def __init__(self, proxy: RunningProxy, number: int) -> None:
        self.client = proxy.client(protocol=2 + number % 2, db=DATABASES[number % len(DATABASES)])
        self.dice = random.Random(number)

    def step(self, turn: int) -> None:
        """One of each."""
        some = self.dice.randrange
        a, b = some(6), some(6)
        pipe = self.client.pipeline(transaction=turn % 3 == 0)
        pipe.incr("hot").append("hot text", f"{turn},")
        pipe.set(f"r{a}", turn).rename(f"r{a}", f"r{b}")
        pipe.sadd(f"s{a}", some(20)).smove(f"s{a}", f"s{b}", some(20)).sunionstore(f"s{some(6)}", f"s{a}", f"s{b}")
        pipe.mset({f"m{a}": turn, f"m{b}": turn}).copy(f"m{a}", f"c{b}", replace=True)
        pipe.msetnx({f"x{a}": turn, f"x{b}": turn}).delete(f"x{some(6)}")
        pipe.rpush(f"l{a}", turn).lmove(f"l{a}", f"l{b}").ltrim(f"l{b}", 0, 20)
        pipe.zadd(f"z{a}", {"m": turn}).zunionstore(f"z{some(6)}", [f"z{a}", f"z{b}"])
        pipe.set(f"e{a}", turn, ex=100).getex(f"e{b}", px=200_000).hset(f"h{a}", "f", turn).hincrby(f"h{b}", "n", 1)
        if turn % 20 == 0:
            pipe.move(f"m{some(6)}", 9)
        pipe.execute()


def fill(proxy: RunningProxy, count: int) -> None:
    """All types, several databases, some with a time to live."""
    for db in DATABASES:
        with redis.Redis(port=proxy.port, db=db) as client:
            pipe = client.pipeline(transaction=False)
            for number in range(count):
                pipe.set(f"string:{number}", number, ex=1000 + number if number % 3 == 0 else None)
                if number % 10 == 0:
                    pipe.rpush(f"list:{number}", *range(number % 50 + 1))
                    pipe.sadd(f"set:{number}", *range(number % 70 + 1))
                    pipe.hset(f"hash:{number}", mapping=dict.fromkeys(range(number % 90 + 1), number))
                    pipe.zadd(f"zset:{number}", {f"m{at}": at for at in range(number % 150 + 1)})
                    pipe.xadd(f"stream:{number}", {"f": number}, id=f"{number + 1}-1")
                    pipe.pexpire(f"hash:{number}", 900_000 + number)
                if number % 500 == 499:
                    pipe.execute()  # what waits in one long pipeline has a deadline, too
            pipe.execute()


def answers(client: Any) -> bool:
    """Whether a read gets an answer."""
    try:
        client.exists("k")
    except redis.ResponseError:
        return False
    return True


class Polite:
    """A client that asks some fifty times a second; any error is a complaint."""

    def __init__(self, proxy: RunningProxy, number: int) -> None:
        self.client = proxy.client(protocol=2 + number % 2)
        self.number = number

    def step(self, turn: int) -> None:
        """Write, read, and write into one of the large values."""
        self.client.set(f"polite:{self.number}", turn)
        assert int(self.client.get(f"polite:{self.number}")) == turn
        self.client.hset(f"hash:{turn % 40}", f"field:{self.number}", turn)
        time.sleep(0.02)
