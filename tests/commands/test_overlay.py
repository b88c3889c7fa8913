"""The reviewed overlay: it names every command once, and what it promises of the dangerous ones holds."""

from collections import Counter

import pytest

from kidoproxy.commands import overlay
from kidoproxy.commands import spec as spec_module
from kidoproxy.commands.find import all_specs, find_by_name
from kidoproxy.commands.spec import (
    ALL_NODES,
    ANY_NODE,
    BY_SPECS,
    CHANNEL_NODE,
    COPY_READ,
    DEDICATED,
    LOCAL,
    PASS_THROUGH,
    READONLY,
    REFUSED,
    SCAN_NODES,
    SESSION,
    SINGLE_NODE,
    SPLIT_BY_NODE,
    SUBSCRIBE,
    WRITE,
    CommandSpec,
)

#: Where the design, and the protocol, leave no choice. Names, reach, response policy.
PROMISED = """
hello auth select multi exec discard quit reset client client|id proxy proxy|node | SESSION PASS_THROUGH
ping echo time acl acl|whoami acl|dryrun command command|docs lastsave role readonly readwrite | LOCAL PASS_THROUGH
get set getdel rename renamenx msetnx msetex copy move sort bitop | SINGLE_NODE PASS_THROUGH
sunion eval sort_ro memory|usage | SINGLE_NODE PASS_THROUGH
mget | SPLIT_BY_NODE IN_KEY_ORDER
mset | SPLIT_BY_NODE ALL_SUCCEEDED
del unlink exists touch | SPLIT_BY_NODE AGG_SUM
dbsize slowlog|len | ALL_NODES AGG_SUM
keys slowlog|get | ALL_NODES CONCAT
flushdb flushall script|flush slowlog|reset memory|purge config|set save swapdb | ALL_NODES ALL_SUCCEEDED
script|load function|load function|delete function|flush function|restore | ALL_NODES ALL_EQUAL
script|exists | ALL_NODES AGG_LOGICAL_AND
randomkey | ALL_NODES WEIGHTED_CHOICE
info | ALL_NODES MERGE_INFO
config|get function|list function|dump function|stats lolwut latency|help module|list | ANY_NODE PASS_THROUGH
scan | SCAN_NODES PASS_THROUGH
watch blpop bzmpop xread xreadgroup | DEDICATED PASS_THROUGH
wait | DEDICATED AGG_MIN
waitaof | DEDICATED AGG_LOGICAL_AND
monitor | DEDICATED ALL_EQUAL
unwatch | SESSION PASS_THROUGH
subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe | SUBSCRIBE PASS_THROUGH
publish spublish | CHANNEL_NODE PASS_THROUGH
pubsub|channels pubsub|shardchannels | ALL_NODES UNION
pubsub|numsub pubsub|shardnumsub | ALL_NODES SUM_BY_NAME
pubsub|numpat | ALL_NODES AGG_MAX
shutdown debug migrate replicaof slaveof cluster cluster|slots failover psync sync replconf | REFUSED PASS_THROUGH
restore-asking asking acl|setuser acl|load module module|load pfdebug pfselftest | REFUSED PASS_THROUGH
script|debug memory|stats | REFUSED PASS_THROUGH
latency|reset latency|doctor clusterscan | REFUSED PASS_THROUGH
"""

DENIED = "config|set config|rewrite config|resetstat save bgsave bgrewriteaof swapdb"


def spec_of(name: str) -> CommandSpec:
    """The spec with this full name."""
    spec = find_by_name(name.encode())
    assert spec is not None, name
    return spec


@pytest.mark.parametrize("line", PROMISED.strip().splitlines())
def test_promised(line: str) -> None:
    """Reach and response policy of the commands that a user would miss or suffer from first."""
    names, _, words = line.partition(" | ")
    reach, policy = words.split()
    for name in names.split():
        spec = spec_of(name)
        assert (spec.reach, spec.response_policy) == (getattr(spec_module, reach), getattr(spec_module, policy)), name


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


def test_denied_by_default() -> None:
    """Just these are refused until a pool allows them; they have a reach for when it does."""
    denied = {spec.name.decode() for spec in all_specs() if spec.denied_by_default}
    assert denied == set(DENIED.split())
    assert all(spec_of(name).reach not in (REFUSED, DEDICATED) for name in denied)


def test_retryable() -> None:
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


def test_single_key() -> None:
    """The fast path is for commands with one key at ``argv[1]``: nothing that blocks, splits or must be allowed."""
    single_key = {spec.name.decode() for spec in all_specs() if spec.single_key}
    assert {"get", "set", "incr", "hgetall", "zadd", "lpush", "expire", "xadd", "publish"} - single_key == {"publish"}
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
