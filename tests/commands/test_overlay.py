"""The reviewed overlay: it names every command once, and what it promises of the dangerous ones holds."""

from collections import Counter

import pytest

from kidoproxy.commands import overlay
from kidoproxy.commands.find import every, named
from kidoproxy.commands.spec import (
    ALL_OK,
    ANY,
    BY_SPECS,
    CHANNEL,
    CHOICE,
    CONCAT,
    COPY_READ,
    EACH_AND,
    EVERY,
    GREATEST,
    IN_KEY_ORDER,
    INFO,
    LANE,
    LEAST,
    LISTEN,
    LOCAL,
    ONE,
    READ,
    REFUSED,
    RELAY,
    SAME,
    SCAN,
    SESSION,
    SPLIT,
    TALLY,
    TOTAL,
    UNION,
    WRITE,
    CommandSpec,
)

#: Where the brief words of the design, and the protocol, leave no choice. Names, reach, rule.
PROMISED = """
hello auth select multi exec discard quit reset client client|id proxy proxy|node | SESSION RELAY
ping echo time acl acl|whoami acl|dryrun command command|docs lastsave role readonly readwrite | LOCAL RELAY
get set getdel rename renamenx msetnx msetex copy move sort bitop sunion eval sort_ro memory|usage | ONE RELAY
mget | SPLIT IN_KEY_ORDER
mset | SPLIT ALL_OK
del unlink exists touch | SPLIT TOTAL
dbsize slowlog|len | EVERY TOTAL
keys slowlog|get | EVERY CONCAT
flushdb flushall script|flush slowlog|reset memory|purge config|set save swapdb | EVERY ALL_OK
script|load function|load function|delete function|flush function|restore | EVERY SAME
script|exists | EVERY EACH_AND
randomkey | EVERY CHOICE
info | EVERY INFO
config|get function|list function|dump function|stats lolwut latency|help module|list | ANY RELAY
scan | SCAN RELAY
watch blpop bzmpop xread xreadgroup | LANE RELAY
wait | LANE LEAST
waitaof | LANE EACH_AND
monitor | LANE SAME
unwatch | SESSION RELAY
subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe | LISTEN RELAY
publish spublish | CHANNEL RELAY
pubsub|channels pubsub|shardchannels | EVERY UNION
pubsub|numsub pubsub|shardnumsub | EVERY TALLY
pubsub|numpat | EVERY GREATEST
shutdown debug migrate replicaof slaveof cluster cluster|slots failover psync sync replconf | REFUSED RELAY
restore-asking asking acl|setuser acl|load module module|load pfdebug pfselftest | REFUSED RELAY
script|debug memory|stats | REFUSED RELAY
latency|reset latency|doctor clusterscan | REFUSED RELAY
"""

WORDS = {
    "LEAST": LEAST,
    "ALL_OK": ALL_OK,
    "ANY": ANY,
    "CHANNEL": CHANNEL,
    "CONCAT": CONCAT,
    "EACH_AND": EACH_AND,
    "EVERY": EVERY,
    "CHOICE": CHOICE,
    "GREATEST": GREATEST,
    "INFO": INFO,
    "IN_KEY_ORDER": IN_KEY_ORDER,
    "LANE": LANE,
    "LISTEN": LISTEN,
    "LOCAL": LOCAL,
    "ONE": ONE,
    "REFUSED": REFUSED,
    "RELAY": RELAY,
    "SAME": SAME,
    "SCAN": SCAN,
    "SESSION": SESSION,
    "SPLIT": SPLIT,
    "TALLY": TALLY,
    "TOTAL": TOTAL,
    "UNION": UNION,
}

DENIED = "config|set config|rewrite config|resetstat save bgsave bgrewriteaof swapdb"


def spec_of(name: str) -> CommandSpec:
    """The spec with this full name."""
    spec = named(name.encode())
    assert spec is not None, name
    return spec


@pytest.mark.parametrize("line", PROMISED.strip().splitlines())
def test_promised(line: str) -> None:
    """Reach and rule of the commands that a user would miss or suffer from first."""
    names, _, words = line.partition(" | ")
    reach, rule = words.split()
    for name in names.split():
        spec = spec_of(name)
        assert (spec.reach, spec.rule) == (WORDS[reach], WORDS[rule]), name


def test_each_once() -> None:
    """Every command has exactly one line: a new one cannot slip in unreviewed."""
    names: list[str] = []
    for line in overlay.SERVED + overlay.OPENABLE:
        names += line[0].split()
    for group, _ in overlay.REFUSALS:
        names += group.split()
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) == {spec.name.decode() for spec in every()}
    assert not [spec for spec in every() if "not reviewed" in (spec.reason, spec.copy_reason)]


def test_reasons() -> None:
    """Whatever is not served says why, in a sentence that ends without a full stop; each line has its reason."""
    for spec in every():
        if spec.reach == REFUSED or spec.deny_default:
            assert len(spec.reason) > 15, spec
            assert spec.reason[-1] != "." or spec.reason.endswith("..."), spec
    for line in overlay.SERVED + overlay.OPENABLE:
        assert line[4], line


def test_deny_default() -> None:
    """Just these are refused until a pool allows them; they have a reach for when it does."""
    denied = {spec.name.decode() for spec in every() if spec.deny_default}
    assert denied == set(DENIED.split())
    assert all(spec_of(name).reach not in (REFUSED, LANE) for name in denied)


def test_repeatable() -> None:
    """What may be asked again changes nothing; what a server calls a read and is sent to a node may be asked again."""
    for spec in every():
        if spec.repeatable:
            assert not spec.write, spec
            assert spec.flags & WRITE == 0, spec
        if spec.flags & READ and spec.reach in (ONE, SPLIT, EVERY, ANY, SCAN):
            assert spec.repeatable, spec
    for name in ("eval", "fcall", "script|load", "publish", "config|set", "set", "sort"):
        assert spec_of(name).write
        assert not spec_of(name).repeatable


def test_keyed() -> None:
    """Commands of one node or of split keys have keys to go by, or are help; the others have none."""
    for spec in every():
        keyed = any(key.is_key for key in spec.key_specs)
        if spec.reach in (ONE, SPLIT):
            assert keyed, spec
        elif spec.reach in (LOCAL, SESSION, EVERY, ANY, SCAN, CHANNEL, LISTEN):
            assert not keyed, spec
        else:
            assert not spec.plain, spec


def test_plain() -> None:
    """The short way is for commands with one key at ``argv[1]``: nothing that moves, waits, splits or is opened."""
    plain = {spec.name.decode() for spec in every() if spec.plain}
    assert {"get", "set", "incr", "hgetall", "zadd", "lpush", "expire", "xadd", "publish"} - plain == {"publish"}
    for spec in every():
        if spec.plain:
            assert (spec.first, spec.last, spec.step) == (1, 1, 1), spec
            assert (spec.reach, spec.rule, spec.finder, spec.deny_default) == (ONE, RELAY, BY_SPECS, False), spec


def test_unknown_name() -> None:
    """An overlay that names a command which the table lacks does not pass in silence."""
    with pytest.raises(KeyError):
        overlay.apply({})


def test_reads() -> None:
    """A copy pool asks one copy for what a server calls a read, but for PFCOUNT, which may write."""
    for spec in every():
        if spec.flags & READ and spec.reach != REFUSED and spec.name != b"pfcount":
            assert spec.copy == COPY_READ, spec


def test_help() -> None:
    """HELP of every container is served; but CLUSTER has none where there is no cluster, as in Redis."""
    refused = [spec.name for spec in every() if spec.name.endswith(b"|help") and spec.reach == REFUSED]
    assert refused == [b"cluster|help"]
