"""The reviewed overlay: it names every command once, and what it promises of the dangerous ones holds."""

from collections import Counter

import pytest

from kidoproxy.commands import overlay
from kidoproxy.commands.find import all_specs, find_by_name
from kidoproxy.commands.spec import (
    AGG_LOGICAL_AND,
    AGG_MAX,
    AGG_MIN,
    AGG_SUM,
    ALL_EQUAL,
    ALL_NODES,
    ALL_SUCCEEDED,
    ANY_NODE,
    BY_SPECS,
    CHANNEL_NODE,
    CONCAT,
    COPY_READ,
    DEDICATED,
    IN_KEY_ORDER,
    LOCAL,
    MERGE_INFO,
    PASS_THROUGH,
    READONLY,
    REFUSED,
    SCAN_NODES,
    SESSION,
    SINGLE_NODE,
    SPLIT_BY_NODE,
    SUBSCRIBE,
    SUM_BY_NAME,
    UNION,
    WEIGHTED_CHOICE,
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
    "LEAST": AGG_MIN,
    "ALL_OK": ALL_SUCCEEDED,
    "ANY": ANY_NODE,
    "CHANNEL": CHANNEL_NODE,
    "CONCAT": CONCAT,
    "EACH_AND": AGG_LOGICAL_AND,
    "EVERY": ALL_NODES,
    "CHOICE": WEIGHTED_CHOICE,
    "GREATEST": AGG_MAX,
    "INFO": MERGE_INFO,
    "IN_KEY_ORDER": IN_KEY_ORDER,
    "LANE": DEDICATED,
    "LISTEN": SUBSCRIBE,
    "LOCAL": LOCAL,
    "ONE": SINGLE_NODE,
    "REFUSED": REFUSED,
    "RELAY": PASS_THROUGH,
    "SAME": ALL_EQUAL,
    "SCAN": SCAN_NODES,
    "SESSION": SESSION,
    "SPLIT": SPLIT_BY_NODE,
    "TALLY": SUM_BY_NAME,
    "TOTAL": AGG_SUM,
    "UNION": UNION,
}

DENIED = "config|set config|rewrite config|resetstat save bgsave bgrewriteaof swapdb"


def spec_of(name: str) -> CommandSpec:
    """The spec with this full name."""
    spec = find_by_name(name.encode())
    assert spec is not None, name
    return spec


@pytest.mark.parametrize("line", PROMISED.strip().splitlines())
def test_promised(line: str) -> None:
    """Reach and rule of the commands that a user would miss or suffer from first."""
    names, _, words = line.partition(" | ")
    reach, rule = words.split()
    for name in names.split():
        spec = spec_of(name)
        assert (spec.reach, spec.response_policy) == (WORDS[reach], WORDS[rule]), name


def test_each_once() -> None:
    """Every command has exactly one line: a new one cannot slip in unreviewed."""
    names: list[str] = []
    for line in overlay.SERVED + overlay.SERVED_IF_ALLOWED:
        names += line[0].split()
    for group, _ in overlay.REFUSED_COMMANDS:
        names += group.split()
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) == {spec.name.decode() for spec in all_specs()}
    assert not [spec for spec in all_specs() if "not reviewed" in (spec.reason, spec.replication_reason)]


def test_reasons() -> None:
    """Whatever is not served says why, in a sentence that ends without a full stop; each line has its reason."""
    for spec in all_specs():
        if spec.reach == REFUSED or spec.denied_by_default:
            assert len(spec.reason) > 15, spec
            assert spec.reason[-1] != "." or spec.reason.endswith("..."), spec
    for line in overlay.SERVED + overlay.SERVED_IF_ALLOWED:
        assert line[4], line


def test_deny_default() -> None:
    """Just these are refused until a pool allows them; they have a reach for when it does."""
    denied = {spec.name.decode() for spec in all_specs() if spec.denied_by_default}
    assert denied == set(DENIED.split())
    assert all(spec_of(name).reach not in (REFUSED, DEDICATED) for name in denied)


def test_repeatable() -> None:
    """What may be asked again changes nothing; what a server calls a read and is sent to a node may be asked again."""
    for spec in all_specs():
        if spec.retryable:
            assert not spec.may_write, spec
            assert spec.flags & WRITE == 0, spec
        if spec.flags & READONLY and spec.reach in (SINGLE_NODE, SPLIT_BY_NODE, ALL_NODES, ANY_NODE, SCAN_NODES):
            assert spec.retryable, spec
    for name in ("eval", "fcall", "script|load", "publish", "config|set", "set", "sort"):
        assert spec_of(name).may_write
        assert not spec_of(name).retryable


def test_keyed() -> None:
    """Commands of one node or of split keys have keys to go by, or are help; the others have none."""
    for spec in all_specs():
        keyed = any(key.is_key for key in spec.key_specs)
        if spec.reach in (SINGLE_NODE, SPLIT_BY_NODE):
            assert keyed, spec
        elif spec.reach in (LOCAL, SESSION, ALL_NODES, ANY_NODE, SCAN_NODES, CHANNEL_NODE, SUBSCRIBE):
            assert not keyed, spec
        else:
            assert not spec.single_key, spec


def test_plain() -> None:
    """The short way is for commands with one key at ``argv[1]``: nothing that moves, waits, splits or is opened."""
    plain = {spec.name.decode() for spec in all_specs() if spec.single_key}
    assert {"get", "set", "incr", "hgetall", "zadd", "lpush", "expire", "xadd", "publish"} - plain == {"publish"}
    for spec in all_specs():
        if spec.single_key:
            assert (spec.first_key, spec.last_key, spec.key_step) == (1, 1, 1), spec
            assert (spec.reach, spec.response_policy, spec.key_finder, spec.denied_by_default) == (
                SINGLE_NODE,
                PASS_THROUGH,
                BY_SPECS,
                False,
            ), spec


def test_unknown_name() -> None:
    """An overlay that names a command which the table lacks does not pass in silence."""
    with pytest.raises(KeyError):
        overlay.apply_overlay({})


def test_reads() -> None:
    """A copy pool asks one copy for what a server calls a read, but for PFCOUNT, which may write."""
    for spec in all_specs():
        if spec.flags & READONLY and spec.reach != REFUSED and spec.name != b"pfcount":
            assert spec.replication == COPY_READ, spec


def test_help() -> None:
    """HELP of every container is served; but CLUSTER has none where there is no cluster, as in Redis."""
    refused = [spec.name for spec in all_specs() if spec.name.endswith(b"|help") and spec.reach == REFUSED]
    assert refused == [b"cluster|help"]
