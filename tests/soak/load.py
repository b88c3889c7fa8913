"""Clients that come, work, misbehave and go: whatever a proxy holds for somebody is taken and given back.

A client's turn is drawn by chance. Its turns are paced: the load is the same on a fast and on a slow machine.
"""

import random
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Keys come again and again, so that what the nodes hold is bounded, too.
KEYS: Final = 500
TURN_SECONDS: Final = 0.02
VALUE_BYTES: Final = (10, 1_000, 100_000)
#: What a stranger sends: the proxy answers with an error and hangs up, or waits for more until it is left.
NOISE: Final = (
    b"*1\r\n$-7\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900\r\nhalf",
    b"\x16\x03\x01\x02\x00",
)
#: What is open when a client hangs up.
LEFT_OPEN: Final = (
    b"GET %b\r\n" + 50 * b"PING\r\n",
    b"MULTI\r\nGET %b\r\n",
    b"WATCH %b\r\n",
    b"SUBSCRIBE %b\r\n",
    b"BLPOP q:%b 9\r\n",
)


class Crowd:
    """Threads that play clients until `stop`; `problems` are errors that nobody had asked for."""

    def __init__(self, port: int, clients: int, seed: int) -> None:
        self.port = port
        self.turns = 0
        self.problems: list[str] = []
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self.live, args=(random.Random(f"{seed}-{at}"),), daemon=True)
            for at in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Returns when all have gone."""
        self.over.set()
        for thread in self.threads:
            thread.join()

    def live(self, dice: random.Random) -> None:
        """One client after another."""
        while not self.over.is_set():
            with redis.Redis(port=self.port, protocol=dice.choice([2, 3]), retry=Retry(NoBackoff(), 0)) as client:
                for _ in range(dice.randrange(1, 60)):
                    if self.over.wait(TURN_SECONDS):
                        return
                    self.turn(client, dice)

    def turn(self, client: Any, dice: random.Random) -> None:
        what = dice.choice(TURNS)
        try:
            what(client, dice)
        except (redis.RedisError, OSError) as problem:
            self.problems.append(f"{what.__name__}: {type(problem).__name__}: {problem}")
        self.turns += 1


def key(dice: random.Random, kind: str = "s") -> str:
    return f"{kind}:{dice.randrange(KEYS)}"


def value(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice(VALUE_BYTES))


def write_and_read(client: Any, dice: random.Random) -> None:
    name = key(dice)
    client.set(name, value(dice), ex=60)
    client.get(name)


def pipeline(client: Any, dice: random.Random) -> None:
    with client.pipeline(transaction=False) as pipe:
        for _ in range(dice.randrange(1, 100)):
            pipe.get(key(dice))
        pipe.execute()


def many_keys(client: Any, dice: random.Random) -> None:
    names = [key(dice) for _ in range(dice.randrange(1, 200))]
    client.mget(names)
    client.mset(dict.fromkeys(names[:20], b"v"))
    client.delete(*names[:20])


def transaction(client: Any, dice: random.Random) -> None:
    name = key(dice, "n")
    with client.pipeline(transaction=True) as pipe, suppress(redis.WatchError):
        pipe.watch(name)
        pipe.multi()
        pipe.incr(name)
        pipe.expire(name, 60)
        pipe.execute()


def queue(client: Any, dice: random.Random) -> None:
    name = key(dice, "q")
    if dice.random() < 0.5:
        client.rpush(name, value(dice)[:1000])
    else:
        client.blpop(name, 0.05)


def messages(client: Any, dice: random.Random) -> None:
    with client.pubsub() as listener:
        listener.subscribe(*[key(dice, "c") for _ in range(5)])
        listener.get_message(timeout=0.05)
        client.publish(key(dice, "c"), b"m")


def script(client: Any, dice: random.Random) -> None:
    client.eval(f"return {{KEYS[1], {dice.randrange(30)}}}", 1, key(dice))


def scan(client: Any, dice: random.Random) -> None:
    cursor = 0
    for _ in range(5):
        cursor, _ = client.scan(cursor, count=50)


def wrong_type(client: Any, dice: random.Random) -> None:
    name = key(dice, "w")
    client.hset(name, "f", "v")
    with suppress(redis.ResponseError):
        client.lpush(name, "x")


def leave_in_the_middle(client: Any, dice: random.Random) -> None:
    """Hang up with requests under way, in MULTI, in SUBSCRIBE, or while it waits for an element."""
    port = client.connection_pool.connection_kwargs["port"]
    name = key(dice).encode()
    last = dice.choice(
        [
            b"GET %b\r\n" % name * 50,
            b"MULTI\r\nGET %b\r\n" % name,
            b"SUBSCRIBE %b\r\n" % name,
            b"BLPOP q:%b 9\r\n" % name,
        ]
    )
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(last)


def noise(client: Any, dice: random.Random) -> None:
    port = client.connection_pool.connection_kwargs["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as sock:
        sock.sendall(dice.choice(NOISE))
        with suppress(OSError):
            sock.recv(1000)


TURNS: Final[list[Callable[[Any, random.Random], None]]] = [
    write_and_read,
    pipeline,
    many_keys,
    transaction,
    queue,
    messages,
    script,
    scan,
    wrong_type,
    leave_in_the_middle,
    noise,
]
