"""The table of key parameters, held against redis-py and against what a real node takes for a key."""

import inspect
from typing import Any, Final

import pytest
import redis

from kidoproxy.django.keys import KEY_PARAMETERS, WRITES, with_made_keys

#: Methods that send nothing by themselves, or not at once.
HELPERS: Final = {"lock", "bitfield", "scan_iter", "hscan_iter", "sscan_iter", "zscan_iter"}

#: Arguments by parameter name, and by method and parameter name where these will not do.
SAMPLES: Final[dict[str, Any]] = {
    "keys": ["key", "other"],
    "names": ("key", "other"),
    "sources": ("key", "other"),
    "args": ("key", "other"),
    "keys_and_args": ("key", "no-key"),
    "mapping": {"key": 1},
    "streams": {"key": "0"},
    "values": ("1", "2"),
    "ids": ("1-1",),
    "message_ids": ["1-1"],
    "fields": ("field",),
    "members": ["m"],
    "numkeys": 2,
    "num_keys": 2,
    "direction": "LEFT",
    "operation": "AND",
    "infotype": "ENCODING",
    "where": "BEFORE",
    "unit": "km",
}
NUMBERS: Final = {
    "time", "when", "amount", "index", "start", "end", "offset", "count", "seconds", "milliseconds", "time_ms",
    "unix_time_seconds", "unix_time_milliseconds", "timeout", "longitude", "latitude", "radius", "bit", "ttl", "db",
    "min_idle_time", "num_replicas", "size",
}  # fmt: skip
OWN: Final[dict[str, dict[str, Any]]] = {
    "blmpop": {"args": ("key", "other")},
    "bzmpop": {"min": True},
    "eval": {"numkeys": 1}, "eval_ro": {"numkeys": 1}, "evalsha": {"numkeys": 1}, "evalsha_ro": {"numkeys": 1},
    "fcall": {"numkeys": 1}, "fcall_ro": {"numkeys": 1},
    "geoadd": {"values": [1.0, 2.0, "m"]},
    "geosearch": {"member": "m", "radius": 1}, "geosearchstore": {"member": "m", "radius": 1},
    "georadius": {"store": "key"}, "georadiusbymember": {"store": "key"},
    "getset": {"value": "v"},
    "hset": {"key": "f", "value": "v"}, "hsetex": {"key": "f", "value": "v"},
    "smismember": {"values": ["v"], "args": ()},
    "sort": {"store": "key"},
    "xadd": {"fields": {"f": "v"}},
    "xgroup_setid": {"id": "1"},
    "xpending_range": {"min": "-", "max": "+", "count": 1},
    "xtrim": {"maxlen": 1},
    "zadd": {"mapping": {"m": 1}},
    "zmpop": {"min": True},
}  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated")


class Recorder(redis.Redis):
    """Keeps the command instead of sending it."""

    argv: list[bytes]

    def execute_command(self, *args: Any, **options: Any) -> Any:
        client: Any = self
        encode = client.get_encoder().encode
        self.argv = [*args[0].encode().split(), *(encode(arg) for arg in args[1:])]
        return (0, {})


def record(name: str) -> list[bytes]:
    """The command that the method sends with sample arguments and its keys prefixed."""
    client = Recorder()
    method = getattr(client, name)
    args: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in inspect.signature(method).parameters.values():
        own = OWN.get(name, {})
        wanted = parameter.default is parameter.empty or parameter.name in own
        if not wanted or parameter.kind == parameter.VAR_KEYWORD:
            continue
        value = own.get(parameter.name, SAMPLES.get(parameter.name, 1 if parameter.name in NUMBERS else "key"))
        if parameter.kind == parameter.VAR_POSITIONAL:
            args += value if name not in ("hmget",) else ()
        elif parameter.kind == parameter.KEYWORD_ONLY or named or parameter.default is not parameter.empty:
            named[parameter.name] = value
        else:
            args.append(value)
    places, names = with_made_keys(Recorder, name, args, named, lambda key: f":1:{key}")
    method(*places, **names)
    return client.argv


def installed(names: set[str]) -> list[str]:
    """Those that this redis-py has: later versions have more."""
    return sorted(name for name in names if hasattr(redis.Redis, name))


@pytest.mark.parametrize("name", installed(set(KEY_PARAMETERS)))
def test_the_parameters_exist(name: str) -> None:
    """What the table calls a key parameter is a parameter of the method."""
    assert set(KEY_PARAMETERS[name]) <= set(inspect.signature(getattr(redis.Redis, name)).parameters)


@pytest.fixture(scope="module")
def commands(node_url: str) -> dict[bytes, set[bytes]]:
    """The commands of a real node, subcommands as ``b"xgroup|create"``, and their flags."""
    with redis.Redis.from_url(node_url, protocol=2) as client:
        request_context: Any = client.execute_command
        found = {}
        for name in request_context("COMMAND LIST"):
            (entry,) = request_context("COMMAND INFO", name)
            found[name.lower()] = set(entry[2])
        return found


def command_of(argv: list[bytes], commands: dict[bytes, set[bytes]]) -> bytes | None:
    """The name of the command, its subcommand's if it has one; None if this node has no such command."""
    names = [b"|".join(argv[:2]).lower(), argv[0].lower()]
    return next((name for name in names if name in commands), None)


@pytest.mark.parametrize("name", installed(set(KEY_PARAMETERS) - HELPERS))
def test_the_node_finds_the_same_keys(name: str, node: Any, commands: dict[bytes, set[bytes]]) -> None:
    """Every key of the command, as a node itself finds them, is prefixed, and nothing else is."""
    argv = record(name)
    prefixed = sorted(arg for arg in argv if arg.startswith(b":1:"))
    assert bool(prefixed) is bool(KEY_PARAMETERS[name])
    if prefixed and command_of(argv, commands):
        found = node.execute_command("COMMAND GETKEYS", *argv)
        assert sorted(key if isinstance(key, bytes) else key.encode() for key in found) == prefixed, argv


@pytest.mark.parametrize("name", installed(set(KEY_PARAMETERS) - HELPERS - {"sort_ro"}))
def test_the_node_flags_the_same_writes(name: str, commands: dict[bytes, set[bytes]]) -> None:
    """A method is a write when a node flags its command so (``sort_ro`` sends a SORT that cannot write)."""
    command = command_of(record(name), commands)
    if command:
        assert (name in WRITES) is (b"write" in commands[command])


def keys_of(name: str, /, *args: Any, **kwargs: Any) -> Any:
    return with_made_keys(redis.Redis, name, args, kwargs, lambda key: f"<{key}>")


def test_one_key_by_place_and_by_name() -> None:
    """A key is found however it is given; other arguments stay what they are."""
    assert keys_of("hset", "h", "field", "v")[0][:3] == ("<h>", "field", "v")
    assert keys_of("hset", name="h", key="field", value="v")[0][:3] == ("<h>", "field", "v")
    assert keys_of("lpush", 7, "v", "w")[0] == ("<7>", "v", "w")


def test_several_keys() -> None:
    """Lists, single strings, generators and trailing keys are keys; fields that happen to be called keys are not."""
    assert keys_of("sunion", ["a", "b"], "c")[0] == (["<a>", "<b>"], "<c>")
    assert keys_of("sunion", "a")[0] == ("<a>",)
    assert keys_of("sinter", (name for name in "ab"))[0] == (["<a>", "<b>"],)
    assert keys_of("hdel", "h", "f1", "f2")[0] == ("<h>", "f1", "f2")
    assert keys_of("hmget", "h", ["f1"], "f2")[0] == ("<h>", ["f1"], "f2")


def test_mappings() -> None:
    """The keys of a mapping are keys where the table says so: ids, weights and values stay beside them."""
    assert keys_of("mset", {"a": 1, "b": 2})[0] == ({"<a>": 1, "<b>": 2},)
    assert keys_of("xread", {"s": "0-0"})[0][0] == {"<s>": "0-0"}
    assert keys_of("zunionstore", "d", {"a": 2.0})[0][:2] == ("<d>", {"<a>": 2.0})


def test_scripts() -> None:
    """As many arguments of a script are keys as its caller says."""
    assert keys_of("eval", "return 1", 2, "a", "b", "c")[0] == ("return 1", 2, "<a>", "<b>", "c")
    assert keys_of("eval", "return 1", 0, "a")[0] == ("return 1", 0, "a")


def test_optional_keys() -> None:
    """A key that is not given is not invented."""
    assert keys_of("sort", "a") == (("<a>",), {})
    assert keys_of("sort", "a", store=None) == (("<a>",), {"store": None})
    assert keys_of("sort", "a", store="b") == (("<a>",), {"store": "<b>"})


def test_what_is_no_key() -> None:
    """None, say, is refused where a key belongs, and a missing argument is Python's own TypeError."""
    with pytest.raises(TypeError, match=r"lrange\(\) takes keys as text, not NoneType"):
        keys_of("lrange", None, 0, 1)
    with pytest.raises(TypeError, match="missing a required argument"):
        keys_of("lrange", "a")
