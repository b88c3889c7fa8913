"""What the clients of a load do: each kind of key, how it is written and read, and how the checker looks at it.

Values are numbers that are written once. A kind whose command is refused by the pool is left out from then on; the
history remembers which.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis

from tests.consistency.history import REFUSED

SET_SCRIPT: Final = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', 1000)"
INCR_SCRIPT: Final = "redis.call('EXPIRE', KEYS[1], 1000) return redis.call('INCR', KEYS[1])"
STREAM_SCRIPT: Final = "return redis.call('XADD', KEYS[1], '*', 'v', ARGV[1])"
#: By chance, so that the key's leader decides; the order of its results is not looked at.
CHANCE_SCRIPT: Final = "redis.call('SRANDMEMBER', KEYS[1]) return redis.call('SADD', KEYS[1], ARGV[1])"
#: Functions: one that every copy runs, one whose relative expiry makes the leader run it, and one by chance.
LIBRARY: Final = """#!lua name=consistency
redis.register_function('next', function(keys) return redis.call('INCR', keys[1]) end)
redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1], 'EX', 1000) end)
redis.register_function('some', function(keys, args)
    redis.call('SRANDMEMBER', keys[1]) return redis.call('SADD', keys[1], args[1])
end)
"""
#: Writes to a key of which nobody knows before which one it is.
INDIRECT_SCRIPT: Final = (
    "local name = redis.call('GET', KEYS[1]) if name then return redis.call('SET', name, ARGV[1]) end return false"
)
EXTEND_SCRIPT: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
)
RELEASE_SCRIPT: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
GROUP: Final = "group"
#: Seconds for which a consumer waits.
WAIT: Final = 0.1


@dataclass(frozen=True, slots=True)
class Kind:
    """``write(client, key, value)`` and ``read(client, key)``; both give results as the model wants them."""

    name: str
    model: str
    action: str
    write: Callable[[Any, str, int], Any]
    read: Callable[[Any, str], Any]


def number(value: Any) -> int | None:
    """What a register holds."""
    return None if value is None else int(value)


def count(value: Any) -> int:
    """What a counter holds."""
    return int(value or 0)


def numbers(values: Iterable[Any]) -> tuple[int, ...]:
    """What a log holds, in order."""
    return tuple(int(value) for value in values)


def elements(values: Iterable[Any]) -> frozenset[int]:
    """What a collection holds."""
    return frozenset(int(value) for value in values)


def read_number(client: Any, key: str) -> int | None:
    """A register that is a string."""
    return number(client.get(key))


def read_count(client: Any, key: str) -> int:
    """A counter that is a string."""
    return count(client.get(key))


def read_text(client: Any, key: str) -> tuple[int, ...]:
    """A log that is a string of words."""
    return numbers((client.get(key) or b"").split())


def read_stream(client: Any, key: str) -> tuple[int, ...]:
    """A log that is a stream."""
    return tuple(int(fields[b"v"]) for _, fields in client.xrange(key))


def read_set(client: Any, key: str) -> frozenset[int]:
    """A collection that is a set."""
    return elements(client.smembers(key))


def read_zset(client: Any, key: str) -> frozenset[int]:
    """A collection that is a sorted set."""
    return elements(client.zrange(key, 0, -1))


def cas(client: Any, key: str, value: int) -> int:
    """Increment with WATCH, MULTI and EXEC."""
    with client.pipeline() as pipe:
        pipe.watch(key)
        after = count(pipe.get(key)) + 1
        pipe.multi()
        pipe.set(key, after)
        pipe.execute()
    return after


def both(client: Any, key: str, value: int) -> tuple[int, ...]:
    """Increment two counters in one transaction, one of them in a hash."""
    with client.pipeline() as pipe:
        return numbers(pipe.incr("{" + key + "}a").hincrby("{" + key + "}b", "f", 1).execute())


def read_both(client: Any, key: str) -> tuple[int, ...]:
    """Read the two in one transaction."""
    with client.pipeline() as pipe:
        return tuple(count(value) for value in pipe.get("{" + key + "}a").hget("{" + key + "}b", "f").execute())


def multi_xadd(client: Any, key: str, value: int) -> None:
    """An entry in a transaction."""
    with client.pipeline() as pipe:
        pipe.xadd(key, {"v": value}).execute()


def function(client: Any, name: str, key: str, value: int) -> Any:
    """Call a function; a proxy that was started since may not know it, and is told again."""
    try:
        return client.fcall(name, 1, key, value)
    except redis.ResponseError as error:
        if REFUSED not in str(error):
            raise
        client.function_load(LIBRARY, replace=True)
        return client.fcall(name, 1, key, value)


def sort_names(key: str) -> tuple[str, str]:
    """The list that is sorted, and where to."""
    return "{" + key + "}from", "{" + key + "}to"


def sort_store(client: Any, key: str, value: int) -> None:
    """Put an element into a list, then all of it into another one; the second half may be done by somebody else."""
    source, target = sort_names(key)
    client.rpush(source, value)
    try:
        client.sort(source, by="nosort", store=target)
    except redis.RedisError as error:
        raise redis.TimeoutError(f"the second half: {error}") from None


def multi_sort_store(client: Any, key: str, value: int) -> None:
    """The same in one transaction."""
    source, target = sort_names(key)
    with client.pipeline() as pipe:
        pipe.rpush(source, value).sort(source, by="nosort", store=target).execute()


def read_sorted(client: Any, key: str) -> tuple[int, ...]:
    """What was stored."""
    return numbers(client.lrange(sort_names(key)[1], 0, -1))


KINDS: Final = (
    Kind("string", "register", "write", lambda c, k, v: c.set(k, v), read_number),
    Kind("expiring", "register", "write", lambda c, k, v: c.set(k, v, ex=1000), read_number),
    Kind("field", "register", "write", lambda c, k, v: c.hset(k, "f", v), lambda c, k: number(c.hget(k, "f"))),
    Kind("scripted", "register", "write", lambda c, k, v: c.eval(SET_SCRIPT, 1, k, v), read_number),
    Kind("counter", "counter", "add", lambda c, k, v: c.incr(k), read_count),
    Kind("score", "counter", "add", lambda c, k, v: int(c.zincrby(k, 1, "m")), lambda c, k: count(c.zscore(k, "m"))),
    Kind("scripted-counter", "counter", "add", lambda c, k, v: c.eval(INCR_SCRIPT, 1, k), read_count),
    Kind("cas", "counter", "add", cas, read_count),
    Kind("pair", "pair", "add", both, read_both),
    Kind("list", "log", "append", lambda c, k, v: c.rpush(k, v), lambda c, k: numbers(c.lrange(k, 0, -1))),
    Kind("text", "log", "append", lambda c, k, v: c.append(k, f"{v} "), read_text),
    Kind("stream", "log", "append", lambda c, k, v: c.xadd(k, {"v": v}), read_stream),
    Kind("multi-stream", "log", "append", multi_xadd, read_stream),
    Kind("scripted-stream", "log", "append", lambda c, k, v: c.eval(STREAM_SCRIPT, 1, k, v), read_stream),
    Kind("set", "collection", "add", lambda c, k, v: c.sadd(k, v), read_set),
    Kind("hash", "collection", "add", lambda c, k, v: c.hset(k, str(v), 1), lambda c, k: elements(c.hkeys(k))),
    Kind("zset", "collection", "add", lambda c, k, v: c.zadd(k, {str(v): v}), read_zset),
    Kind("chance", "collection", "add", lambda c, k, v: c.eval(CHANCE_SCRIPT, 1, k, v), read_set),
    Kind("function", "counter", "add", lambda c, k, v: function(c, "next", k, v), read_count),
    Kind("function-put", "register", "write", lambda c, k, v: function(c, "put", k, v), read_number),
    Kind("function-chance", "collection", "add", lambda c, k, v: function(c, "some", k, v), read_set),
    Kind("sorted", "log", "append", sort_store, read_sorted),
    Kind("multi-sorted", "log", "append", multi_sort_store, read_sorted),
)  # fmt: skip
#: Of these the leader sends the others whole values, which an older server does not take from a newer one.
SENDS_VALUES: Final = ("chance", "function-put", "function-chance", "sorted", "multi-sorted")


@dataclass(frozen=True, slots=True)
class Queue:
    """Elements go in by ``push(client, key, element)``, out by ``take(client, key)``; ``rest(node, key)`` are left.

    ``most``: how many elements one ``take`` may take. ``action`` is ``move`` when what is taken is still there.
    """

    name: str
    action: str
    push: Callable[[Any, str, int], Any]
    take: Callable[[Any, str], tuple[int, ...]]
    rest: Callable[[Any, str], tuple[int, ...]]
    most: int = 1


def popped(answer: Any) -> tuple[int, ...]:
    """Of BLPOP and BZPOPMIN: the second word is the element."""
    return () if answer is None else (int(answer[1]),)


def one(answer: Any) -> tuple[int, ...]:
    """Of BLMOVE and SPOP."""
    return () if answer is None else (int(answer),)


def scored(answer: Any) -> tuple[int, ...]:
    """Of ZPOPMIN."""
    return tuple(int(member) for member, _ in answer)


def put_in_list(client: Any, key: str, value: int) -> Any:
    """At the end of the list."""
    return client.rpush(key, value)


def put_in_zset(client: Any, key: str, value: int) -> Any:
    """By its own score."""
    return client.zadd(key, {str(value): value})


def put_in_set(client: Any, key: str, value: int) -> Any:
    """Somewhere."""
    return client.sadd(key, value)


def move(client: Any, key: str) -> tuple[int, ...]:
    """To the list of what is taken."""
    return one(client.blmove(key, taken_name(key), WAIT, "LEFT", "RIGHT"))


def taken_name(key: str) -> str:
    """Where elements of this list are moved to; on a ring it lives beside it."""
    return "{" + key + "}:taken"


def list_rest(node: Any, key: str) -> tuple[int, ...]:
    """All that is in the list, and in the one that elements are moved to."""
    return numbers(node.lrange(key, 0, -1)) + numbers(node.lrange(taken_name(key), 0, -1))


def zset_rest(node: Any, key: str) -> tuple[int, ...]:
    """All members."""
    return numbers(node.zrange(key, 0, -1))


def set_rest(node: Any, key: str) -> tuple[int, ...]:
    """All members, in any order."""
    return numbers(node.smembers(key))


QUEUES: Final = (
    Queue("q:list", "pop", put_in_list, lambda c, k: popped(c.blpop(k, WAIT)), list_rest),
    Queue("q:pops", "pop", put_in_list, lambda c, k: numbers(c.lpop(k, 2) or ()), list_rest, 2),
    Queue("q:moves", "move", put_in_list, move, list_rest),
    Queue("q:zset", "pop", put_in_zset, lambda c, k: popped(c.bzpopmin(k, WAIT)), zset_rest),
    Queue("q:scores", "pop", put_in_zset, lambda c, k: scored(c.zpopmin(k, 1)), zset_rest),
    Queue("q:set", "pop", put_in_set, lambda c, k: one(c.spop(k)), set_rest),
)  # fmt: skip
#: Consumers of these hang up in the moment of the pop.
CARELESS: Final = "q:careless"
CARELESS_MOVES: Final = "q:careless-moves"


def delivered(answer: Any) -> list[tuple[bytes, int]]:
    """Ids and elements of XREADGROUP of one stream; RESP2 gives a list of pairs, RESP3 a map."""
    if not answer:
        return []
    found = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
    return [(id_, int(fields[b"v"])) for id_, fields in found if fields]


def group_rest(node: Any, key: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The elements that the group has still to deliver, and those that are pending."""
    info = node.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0)
    whole = {info[at]: info[at + 1] for at in range(0, len(info), 2)}
    group = {whole[b"groups"][0][at]: whole[b"groups"][0][at + 1] for at in range(0, len(whole[b"groups"][0]), 2)}
    by_id = {id_: int(fields[1]) for id_, fields in whole[b"entries"]}
    last = order_of(group[b"last-delivered-id"])
    undelivered = tuple(element for id_, element in by_id.items() if order_of(id_) > last)
    return undelivered, tuple(by_id[entry[0]] for entry in group[b"pending"])


def order_of(id_: bytes) -> tuple[int, int]:
    """Ids are compared by numbers."""
    milliseconds, _, sequence = id_.partition(b"-")
    return int(milliseconds), int(sequence)
