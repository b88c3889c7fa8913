"""Which arguments of a redis-py method are keys, and which methods write: a reviewed table, never a guess.

A method that is not here cannot be called on the cache, for a key that is missed would be read or
written without its prefix. A key parameter may hold one key, several (a list, a tuple, a set) or a
mapping whose keys are the keys; of ``keys_and_args`` the first ``numkeys`` are keys.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

MakeKey = Callable[[Any], Any]  # one key of the user's -> the key that is sent

#: The names of the key parameters, the methods that have them and only read, and those that write by Redis's own flag
#: (scripts have none: they run on one copy, and their effect on the others). Patterns (of KEYS, SCAN, BY and GET of
#: SORT) and channels are no keys: they are sent as they are.
_REVIEWED_METHODS: Final = (
    (
        "",
        "dbsize echo info keys lastsave ping publish pubsub_channels pubsub_numpat pubsub_numsub randomkey scan "
        "scan_iter script_exists script_flush script_load time wait",
        "flushall flushdb",
    ),
    (
        "name",
        "dump geodist geohash geopos geosearch getbit hexists hget hgetall hkeys hlen hmget hscan hscan_iter "
        "hstrlen hvals lindex llen lock lpos lrange pttl scard sismember smembers smismember srandmember sscan "
        "sscan_iter strlen substr ttl type xinfo_consumers xinfo_groups xinfo_stream xlen xpending xpending_range "
        "xrange xrevrange zcard zcount zlexcount zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex "
        "zrevrangebyscore zrevrank zscan zscan_iter zscore",
        "decrby expire expireat geoadd getdel getex getset hdel hexpire hexpireat hgetdel hgetex hincrby "
        "hincrbyfloat hmset hpersist hpexpire hpexpireat hset hsetex hsetnx incrby incrbyfloat linsert lpop lpush "
        "lpushx lrem lset ltrim move persist pexpire pexpireat pfadd psetex restore rpop rpush rpushx sadd setbit "
        "setex setnx setrange spop srem xack xackdel xadd xautoclaim xclaim xdel xdelex xgroup_create "
        "xgroup_createconsumer xgroup_delconsumer xgroup_destroy xgroup_setid xtrim zadd zincrby zpopmax zpopmin "
        "zrem zremrangebylex zremrangebyrank zremrangebyscore",
    ),
    (
        "key",
        "bitcount bitfield_ro bitpos expiretime getrange hexpiretime hpexpiretime hpttl hrandfield httl "
        "memory_usage object pexpiretime sort_ro zmscore zrandmember",
        "append bitfield",
    ),
    ("key1 key2", "lcs", ""),
    ("names", "exists", "unlink"),
    ("sources", "pfcount", ""),
    ("args", "", "blmpop lmpop"),
    ("keys", "sintercard zdiff zinter zintercard zunion", "blpop brpop bzmpop bzpopmax bzpopmin zmpop"),
    ("keys args", "mget sdiff sinter sunion", ""),
    ("dest name", "", "geosearchstore zrangestore"),
    ("dest keys", "", "bitop zdiffstore zinterstore zunionstore"),
    ("dest sources", "", "pfmerge"),
    ("dest keys args", "", "sdiffstore sinterstore sunionstore"),
    ("src dst", "", "brpoplpush rename renamenx rpoplpush smove"),
    ("source destination", "", "copy"),
    ("first_list second_list", "", "blmove lmove"),
    ("name store", "", "sort"),
    ("name store store_dist", "", "georadius georadiusbymember"),
    ("mapping", "", "mset msetex msetnx"),
    ("streams", "xread", "xreadgroup"),
    ("keys_and_args", "eval eval_ro evalsha evalsha_ro fcall fcall_ro", ""),
)

#: Method -> the names of its key parameters.
KEY_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    method: tuple(parameters.split())
    for parameters, reads, writes in _REVIEWED_METHODS
    for method in [*reads.split(), *writes.split()]
}

#: The methods that `RedisCopy` asks of each node.
WRITES: Final = frozenset(method for _, _, writes in _REVIEWED_METHODS for method in writes.split())

_MISSING: Final = object()


def with_made_keys(
    client_class: type, name: str, args: Any, kwargs: Any, make_key: MakeKey
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments for the method ``name`` of the client class ``kind``, ``place`` applied to every key among them."""
    signature = _signature(client_class, name)
    bound = signature.bind(None, *args, **kwargs)  # None stands for self
    for parameter in KEY_PARAMETERS[name]:
        argument: Any = bound.arguments.get(parameter, _MISSING)
        if argument is _MISSING or argument is signature.parameters[parameter].default:
            continue  # an optional key that was not given
        if parameter == "keys_and_args":
            count = int(bound.arguments["numkeys"])
            bound.arguments[parameter] = (*map(make_key, argument[:count]), *argument[count:])
        else:
            bound.arguments[parameter] = _map_keys(argument, make_key, name)
    return bound.args[1:], bound.kwargs


@cache
def _signature(client_class: type, name: str) -> inspect.Signature:
    """Remembered: to look it up costs more than all the rest here."""
    return inspect.signature(getattr(client_class, name))


def _map_keys(argument: Any, make_key: MakeKey, name: str) -> Any:
    """``place`` applied to one key, to the keys of a mapping, or to every one of several."""
    if isinstance(argument, str | bytes | int | float):
        return make_key(argument)
    if isinstance(argument, Mapping):
        return {make_key(key): value for key, value in argument.items()}
    if isinstance(argument, Iterable):
        mapped = [_map_keys(key, make_key, name) for key in argument]
        # redis-py adds lists to its keys here and there, which works with lists only; ``*names`` are a tuple.
        return tuple(mapped) if isinstance(argument, tuple) else mapped
    raise TypeError(f"{name}() takes keys as text, not {type(argument).__name__}")
