"""The load: clients of every kind that write, read, wait and hang up until they are told to stop, and note it all."""

import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import redis

from tests.consistency.history import FAIL, NOT_CONNECTED, OK, History, Operation
from tests.consistency.kinds import (
    CARELESS,
    CARELESS_MOVES,
    EXTEND_SCRIPT,
    GROUP,
    KINDS,
    LIBRARY,
    QUEUES,
    RELEASE_SCRIPT,
    SENDS_VALUES,
    WAIT,
    Kind,
    delivered,
    group_rest,
    list_rest,
    taken_name,
)
from tests.consistency.places import Places
from tests.consistency.several import several
from tests.live.contents import Crowd, states_by
from tests.live.proxies import RunningProxy
from tests.wait import eventually

#: Keys of each kind, and seconds between two operations of a client.
KEYS: Final = 2
PACE: Final = 0.01
#: Elements that a queue may hold before its producers wait, so that queues run empty and consumers wait.
DEPTH: Final = 5
#: Seconds to live: those that expire under the eyes of the checker, and one that does not.
LIVES: Final = (0.15, 0.4, 1000, None)
WORKERS: Final = (
    "Writer",
    "Writer",
    "Writer",
    "Producer",
    "Consumer",
    "Consumer",
    "GroupConsumer",
    "Careless",
)
#: Those whose keys expire under their eyes.
TIMED: Final = ("Expirer", "Locker", "Locker")
STREAM: Final = "q:stream"


class Load:
    """All clients of one round, for the time of a ``with``; then `finish` notes what is left.

    ``only``: names of the kinds and queues that are used; all when there are none. ``shards``: of so many copy pools
    the pool is a ring. ``is_mixed``: no leader sends whole values, which an older copy refuses.
    """

    def __init__(
        self, proxy: RunningProxy, seed: int, only: Sequence[str] = (), shards: int = 1, is_mixed: bool = False
    ) -> None:
        self.proxy = proxy
        self.places = Places(proxy, shards)
        self.seed = seed
        self.history = History()
        self.crowd = Crowd()
        #: Moves on whenever a node is harmed, so that a read of a node past the proxy knows that it is worth nothing.
        self.epoch = 0
        left_out = SENDS_VALUES if is_mixed else ()
        self.kinds = [kind for kind in KINDS if (not only or kind.name in only) and kind.name not in left_out]
        self.queues = [queue for queue in QUEUES if not only or queue.name in only]
        self.resting = threading.Event()
        self.workers: list[Worker] = []
        self.alive: deque[str] = deque(maxlen=30)
        with proxy.client() as client:
            client.function_load(LIBRARY, replace=True)
            self.has_group = self.make_group(client)

    def make_group(self, client: Any) -> bool:
        """The stream with its group; whether the pool serves it."""
        client.execute_command("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
        create_consumer(client, 0)
        entry = self.record(0, "group", STREAM, "deliver", partial(read_group, client, 0))
        return entry.outcome == OK

    def __enter__(self) -> "Load":
        for number, kind in enumerate((*WORKERS, *TIMED, "Peeker"), 1):
            self.workers.append(STEPS[kind](self, number))
            self.crowd.join(self.workers[-1].turn)
        return self

    def __exit__(self, *exc: object) -> None:
        self.crowd.__exit__(*exc)

    def record(
        self, client: int, model: str, key: str, action: str, call: Callable[[], Any], value: Any = None
    ) -> Operation:
        """Do one operation."""
        return self.history.record(Operation(client, model, key, action, value), call)

    def go_on(self, count: int = 200) -> None:
        """Wait for so many more operations that succeed."""
        goal = self.history.count(OK) + count
        eventually(lambda: self.crowd.problems or self.history.count(OK) >= goal, 30)
        assert not self.crowd.problems, self.crowd.problems

    def open_calls(self) -> int:
        """How many clients wait for a reply."""
        return sum(worker.busy for worker in self.workers)

    def stop(self) -> None:
        """Let all clients finish what they do, and stand still until `resume`."""
        self.resting.set()
        eventually(lambda: self.crowd.problems or not self.open_calls(), 30)

    def resume(self) -> None:
        """Let them go on."""
        self.resting.clear()

    def finish(self) -> None:
        """Read every key through the proxy, and at every node."""
        clients = [self.proxy.client(), *self.proxy.node_clients()]
        nodes_by_key = {
            key: self.places.nodes_of(key) for key in {entry.key for entry in list(self.history.operations)}
        }
        kinds = {kind.name: kind for kind in KINDS}
        keys = {(entry.model, entry.key) for entry in list(self.history.operations)}
        for at, client in enumerate(clients):
            for model, key in sorted(keys):
                if at and at - 1 not in nodes_by_key[key]:
                    continue
                kind = kinds.get(key.partition(":k")[0])
                if kind is not None:
                    self.record(-at, model, key, "peek" if at else "read", partial(kind.read, client, key))
                elif model == "lifetime":
                    self.record(-at, model, key, "peek" if at else "read", partial(exists, client, key))
                elif at:
                    self.rest(-at, model, key, client)

    def rest(self, at: int, model: str, key: str, node: Any) -> None:
        """What is left at one node."""
        if model == "group":
            self.record(at, model, key, "rest", partial(group_rest, node, key))
        elif model == "queue":
            ends = {queue.name: queue.rest for queue in QUEUES}
            self.record(at, model, key, "rest", partial(ends.get(key, list_rest), node, key))


def exists(client: Any, key: str) -> bool:
    """Whether the key is there."""
    return bool(client.exists(key))


def create_consumer(client: Any, number: int) -> None:
    """Not every server does so when it has nothing to give."""
    client.xgroup_createconsumer(STREAM, GROUP, f"c{number}")


def read_group(client: Any, number: int, block: int | None = None) -> list[tuple[bytes, int]]:
    """Two entries for this consumer."""
    return delivered(client.xreadgroup(GROUP, f"c{number}", {STREAM: ">"}, count=2, block=block))


class Worker:
    """One client, with dice of its own."""

    def __init__(self, load: Load, number: int) -> None:
        self.load = load
        self.number = number
        self.dice = random.Random(f"{load.seed} {number}")
        self.client = load.proxy.client(protocol=2 + number % 2, socket_timeout=20)
        self.busy = False

    def turn(self, turn: int) -> None:
        """One step, and a little rest."""
        self.busy = True
        if not self.load.resting.is_set():
            self.step()
        self.busy = False
        self.load.crowd.over.wait(PACE)

    def step(self) -> None:
        """What it does."""
        raise NotImplementedError

    def do(self, model: str, key: str, action: str, call: Callable[[], Any], value: Any = None) -> Operation:
        """Note it under its number."""
        entry = self.load.record(self.number, model, key, action, call, value)
        if entry.outcome == FAIL and NOT_CONNECTED in entry.result:
            self.load.crowd.over.wait(WAIT)
        return entry


class Writer(Worker):
    """Writes and reads keys of all kinds; now and then several at once, of which only the copies are compared."""

    def step(self) -> None:
        if not self.load.kinds or self.dice.random() < 0.15:
            several(self.client, self.dice)
            return
        kind: Kind = self.dice.choice(self.load.kinds)
        key = f"{kind.name}:k{self.dice.randrange(KEYS)}"
        if self.dice.random() < 0.5:
            self.do(kind.model, key, "read", partial(kind.read, self.client, key))
            return
        value = self.load.history.unique()
        entry = self.do(kind.model, key, kind.action, partial(kind.write, self.client, key, value), value)
        if is_refused(entry) and kind in self.load.kinds:
            self.load.kinds.remove(kind)


def is_refused(entry: Operation) -> bool:
    """Whether the pool does not serve it."""
    return isinstance(entry.result, str) and "is not served here" in entry.result


class Expirer(Worker):
    """Keys that are written once, expire or are deleted, and are looked for."""

    def step(self) -> None:
        alive = self.load.alive
        chance = self.dice.random()
        if chance < 0.3 or not alive:
            key = f"life:{self.load.history.unique()}"
            alive.append(key)
            life = self.dice.choice(LIVES)
            px = None if life is None else int(life * 1000)
            self.do("lifetime", key, "write", partial(self.client.set, key, 1, px=px), life)
            return
        key = self.dice.choice(list(alive))
        if chance < 0.4:
            self.do("lifetime", key, "delete", partial(self.client.delete, key))
        else:
            self.do("lifetime", key, "read", partial(exists, self.client, key))


class Producer(Worker):
    """Fills all queues, but not far."""

    def step(self) -> None:
        for queue in list(self.load.queues):
            self.push(queue.name, queue.push)
        for key in (CARELESS, CARELESS_MOVES):
            self.push(key, lambda client, key, value: client.rpush(key, value))
        if self.load.has_group:
            value = self.load.history.unique()
            self.do("group", STREAM, "push", partial(self.client.xadd, STREAM, {"v": value}), value)

    def push(self, key: str, put: Callable[[Any, str, int], Any]) -> None:
        """One element, if there is room."""
        value = self.load.history.unique()
        entry = self.do("queue", key, "push", partial(put, self.client, key, value), value)
        # What SADD answers says nothing of the size; those that do not wait keep up with the producer.
        if entry.outcome == OK and entry.result > DEPTH:
            self.load.crowd.over.wait(WAIT)


class Consumer(Worker):
    """Takes elements out of all queues."""

    def step(self) -> None:
        if not self.load.queues:
            return
        queue = self.dice.choice(self.load.queues)
        call = partial(queue.take, self.client, queue.name)
        if is_refused(self.do("queue", queue.name, queue.action, call, queue.most)) and queue in self.load.queues:
            self.load.queues.remove(queue)


class GroupConsumer(Worker):
    """A consumer of the stream's group: waits, does not wait, takes over, and says that it is done with most."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(load, number)
        create_consumer(self.client, number)

    def step(self) -> None:
        if not self.load.has_group:
            return
        if self.dice.random() < 0.1:
            call = partial(self.client.xautoclaim, STREAM, GROUP, f"c{self.number}", 0, count=2)
            self.do("group", STREAM, "claim", call)
            return
        block = self.dice.choice([None, int(WAIT * 1000)])
        ids: list[bytes] = []

        def call_and_note() -> tuple[int, ...]:
            found = read_group(self.client, self.number, block)
            ids.extend(id_ for id_, _ in found)
            return tuple(element for _, element in found)

        entry = self.do("group", STREAM, "deliver", call_and_note)
        if entry.outcome == OK:
            for id_, element in zip(ids, entry.result, strict=True):
                if self.dice.random() < 0.8:
                    self.do("group", STREAM, "ack", partial(self.client.xack, STREAM, GROUP, id_), element)


class Careless(Worker):
    """Consumers that hang up while they wait, or in the moment in which they are given something."""

    def step(self) -> None:
        moves = self.dice.random() < 0.5
        key = CARELESS_MOVES if moves else CARELESS
        words = f"BLMOVE {key} {taken_name(key)} LEFT RIGHT 1\r\n" if moves else f"BLPOP {key} 1\r\n"
        entry = Operation(self.number, "queue", key, "move" if moves else "pop", 1, self.load.history.clock())
        entry.result = "it hung up"
        try:
            with socket.create_connection(("127.0.0.1", self.load.proxy.port), 5) as raw:
                self.load.history.operations.append(entry)
                raw.sendall(words.encode())
                self.load.crowd.over.wait(self.dice.random() * 0.02)
        except OSError:
            return


class Locker(Worker):
    """Takes one of two locks, prolongs it, and gives it back; or dies and lets it expire."""

    def step(self) -> None:
        key = f"lock:{self.dice.randrange(KEYS)}"
        token = str(self.load.history.unique())
        seconds = self.dice.choice([0.2, 1.0])
        call = partial(self.client.set, key, token, nx=True, px=int(seconds * 1000))
        if not self.holds(self.do("lock", key, "acquire", call, seconds)):
            return
        if self.dice.random() < 0.5:
            self.do("lock", key, "extend", partial(self.client.eval, EXTEND_SCRIPT, 1, key, token, 500), 0.5)
        self.load.crowd.over.wait(PACE)
        if self.dice.random() < 0.9:
            self.do("lock", key, "release", partial(self.client.eval, RELEASE_SCRIPT, 1, key, token))

    def holds(self, entry: Operation) -> bool:
        """Whether it has got it."""
        return entry.outcome == OK and bool(entry.result)


class Peeker(Worker):
    """Reads copies that are in sync past the proxy: what was acknowledged must be on each of them."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(load, number)
        self.watcher = load.proxy.client(protocol=3, socket_timeout=20)
        self.nodes = [redis.Redis.from_url(url, protocol=2, socket_timeout=0.3) for url in load.proxy.nodes.urls]

    def step(self) -> None:
        if not self.load.kinds:
            return
        kind: Kind = self.dice.choice(self.load.kinds)
        key = f"{kind.name}:k{self.dice.randrange(KEYS)}"
        try:
            at = self.dice.choice(self.load.places.nodes_of(key))
        except redis.RedisError:
            return
        self.do(kind.model, key, "peek", partial(self.peek, at, kind, key))

    def peek(self, at: int, kind: Kind, key: str) -> Any:
        """An error unless the copy was in sync all the time, and nobody did harm to it meanwhile."""
        epoch = self.load.epoch
        before = states_by(self.watcher)[at]
        found = kind.read(self.nodes[at], key)
        if (before, states_by(self.watcher)[at], self.load.epoch) != ("in sync", "in sync", epoch):
            raise redis.ResponseError("the copy was not in sync")
        return found


STEPS: Final[dict[str, type[Worker]]] = {
    kind.__name__: kind for kind in (Writer, Expirer, Producer, Consumer, GroupConsumer, Careless, Locker, Peeker)
}
