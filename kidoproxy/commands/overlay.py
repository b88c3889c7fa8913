"""The reviewed overlay, what no server can tell: whom a command reaches, how replies merge, what copies do, and why.

Every command and subcommand of the table stands here exactly once; a test fails on one that does not,
and a command without a line is never served. Servers' own hints are not followed blindly: Redis 7.0
calls MSETNX splittable, and Valkey MSETEX, though both promise all or nothing.

The last word of a line is its reason. Where the command is refused, in general or in copy pools, that
reason is the sentence which the client reads. What else is to be said of a command is in `overlay_traits`.
"""

from typing import Final

from kidoproxy.commands.overlay_traits import apply_traits
from kidoproxy.commands.proxy_command import PROXY_NAMES
from kidoproxy.commands.spec import (
    AGG_LOGICAL_AND,
    AGG_MAX,
    AGG_MIN,
    AGG_SUM,
    ALL_EQUAL,
    ALL_NODES,
    ALL_SUCCEEDED,
    ANY_NODE,
    CHANNEL_NODE,
    CONCAT,
    COPY_ABSOLUTE_EXPIRY,
    COPY_ACK_COUNT,
    COPY_BROADCAST,
    COPY_LEADER,
    COPY_PUBSUB_NODE,
    COPY_READ,
    COPY_REFUSED,
    COPY_STREAM_WRITE,
    COPY_WAIT,
    DEDICATED,
    IN_KEY_ORDER,
    LOCAL,
    MERGE_INFO,
    ONE_SUCCEEDED,
    PASS_THROUGH,
    REFUSED,
    SCAN_NODES,
    SESSION,
    SINGLE_NODE,
    SPLIT_BY_NODE,
    SUBSCRIBE,
    SUM_BY_NAME,
    UNION,
    WEIGHTED_CHOICE,
    CommandSpec,
)

#: Names, reach, response policy, what copies do, reason.
Entry = tuple[str, int, int, int, str]


def _alike(reach: int, policy: int, replication: int, *lines: tuple[str, str]) -> tuple[Entry, ...]:
    """Commands that are served alike: names and reason of each line."""
    return tuple([(names, reach, policy, replication, reason) for names, reason in lines])


_HASH_READS = "hexists hexpiretime hget hgetall hkeys hlen hmget hpexpiretime hpttl hrandfield hscan hstrlen httl hvals"
_ZSET_READS = (
    "zcard zcount zdiff zinter zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank "
    "zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion"
)
_ZSET_WRITES = (
    "zadd zdiffstore zincrby zinterstore zmpop zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank "
    "zremrangebyscore zunionstore"
)
_SUBSCRIBE = "subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe"
_HELP_CONTAINERS = "config function latency memory module object pubsub script slowlog commandlog xgroup xinfo"
_CLIENT = (
    "client|caching client|capa client|getname client|getredir client|help client|id client|import-source client|info "
    "client|kill client|list client|no-evict client|no-touch client|pause client|reply client|setinfo client|setname "
    "client|tracking client|trackinginfo client|unblock client|unpause"
)
_COMMAND = "command command|count command|docs command|getkeys command|getkeysandflags command|help command|info"
_BLOCKING_POPS = "blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin"
_ACL = "acl acl|cat acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|log acl|users acl|whoami"
_BLOCKING_REASON = "a copy that waits would pop at a moment of its own, so the proxy waits and all copies pop together"
#: Without CLAIM all copies deliver the same entries to the same consumer, at moments that differ by milliseconds.
_GROUP_REASON = "with CLAIM each node's own clock says which entries are delivered again"
_WAITAOF_REASON = "files are for the operator of each copy; WAIT says how many have it"
_PUBSUB_REASON = "each node counts the proxy's subscriptions; they are replaced by those of the clients"

SERVED: Final[tuple[Entry, ...]] = (
    # The state of one client's connection.
    *_alike(
        SESSION,
        PASS_THROUGH,
        COPY_READ,
        ("auth hello", "who the client is, the session knows"),
        ("quit reset select unwatch", "the state of one client's connection"),
        ("multi exec discard", "transactions are queued here, connections to nodes are shared"),
        ("client " + _CLIENT, "clients are the proxy's, a node sees only the proxy's connections"),
        ("proxy " + PROXY_NAMES, "the proxy's own command"),
    ),
    # What the proxy answers by itself.
    *_alike(
        LOCAL,
        PASS_THROUGH,
        COPY_READ,
        ("ping echo time", "needs no node, and must answer when all are down"),
        (_COMMAND + " command|list", "what is served here, not what a node knows"),
        (_ACL, "users stand in the proxy's configuration, a node sees only the proxy's own login"),
        ("lastsave role", "facts about a server; here that is the proxy"),
        ("readonly readwrite", "cluster only: an instance without cluster has an error for it"),
    ),
    # The same on every node.
    *_alike(
        ANY_NODE,
        PASS_THROUGH,
        COPY_READ,
        ("lolwut", "any node paints as well"),
        ("function|list function|dump function|stats", "libraries are the same everywhere"),
        ("script|show", "scripts are the same everywhere"),
        ("module|list", "modules are meant to be the same everywhere"),
        ("config|get", "settings are meant to be the same everywhere"),
        (" ".join([name + "|help" for name in _HELP_CONTAINERS.split()]), "the same text everywhere"),
    ),
    # Cut by node.
    ("mget", SPLIT_BY_NODE, IN_KEY_ORDER, COPY_READ, "each value stands at the place of its key"),
    ("mset", SPLIT_BY_NODE, ALL_SUCCEEDED, COPY_BROADCAST, "each pair is set on its own"),
    ("del unlink", SPLIT_BY_NODE, AGG_SUM, COPY_BROADCAST, "counts of removed keys add up"),
    ("exists", SPLIT_BY_NODE, AGG_SUM, COPY_READ, "a key given twice counts twice, on its node as here"),
    ("touch", SPLIT_BY_NODE, AGG_SUM, COPY_READ, "counts add up; access times are a node's own and are not replicated"),
    # Every node: the keyspace.
    ("dbsize", ALL_NODES, AGG_SUM, COPY_READ, "each key is on one node"),
    ("keys", ALL_NODES, CONCAT, COPY_READ, "each key is on one node"),
    ("randomkey", ALL_NODES, WEIGHTED_CHOICE, COPY_READ, "a node is chosen by how many keys it has"),
    ("scan", SCAN_NODES, PASS_THROUGH, COPY_READ, "nodes one after another, the cursor says which"),
    ("flushall flushdb", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "the whole keyspace is meant"),
    # Every node: its state.
    ("info", ALL_NODES, MERGE_INFO, COPY_READ, "sums where a sum means something"),
    ("slowlog|get commandlog|get", ALL_NODES, CONCAT, COPY_READ, "each node keeps its own log"),
    ("slowlog|len commandlog|len", ALL_NODES, AGG_SUM, COPY_READ, "each node keeps its own log"),
    ("slowlog|reset commandlog|reset", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "each node keeps its own log"),
    ("memory|purge", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "each node has its own allocator"),
    # Every node: scripts and libraries.
    (
        "script|load",
        ALL_NODES,
        ALL_EQUAL,
        COPY_BROADCAST,
        "must be known wherever its keys may live",
    ),
    ("script|exists", ALL_NODES, AGG_LOGICAL_AND, COPY_READ, "known means known everywhere"),
    ("script|flush", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "forgotten means forgotten everywhere"),
    ("script|kill", ALL_NODES, ONE_SUCCEEDED, COPY_BROADCAST, "a script may run on any node"),
    ("function|load function|delete", ALL_NODES, ALL_EQUAL, COPY_BROADCAST, "libraries are the same everywhere"),
    ("function|flush function|restore", ALL_NODES, ALL_EQUAL, COPY_BROADCAST, "libraries are the same everywhere"),
    ("function|kill", ALL_NODES, ONE_SUCCEEDED, COPY_BROADCAST, "a function may run on any node"),
    # Channels.
    (_SUBSCRIBE, SUBSCRIBE, PASS_THROUGH, COPY_READ, "one subscription at the nodes, fanned out here"),
    ("publish spublish", CHANNEL_NODE, PASS_THROUGH, COPY_PUBSUB_NODE, "a channel lives where a key of its name would"),
    ("pubsub|channels pubsub|shardchannels", ALL_NODES, UNION, COPY_PUBSUB_NODE, _PUBSUB_REASON),
    ("pubsub|numsub pubsub|shardnumsub", ALL_NODES, SUM_BY_NAME, COPY_PUBSUB_NODE, _PUBSUB_REASON),
    ("pubsub|numpat", ALL_NODES, AGG_MAX, COPY_PUBSUB_NODE, "every pattern is listened to everywhere"),
    # Reads of keys that meet on one node.
    *_alike(
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_READ,
        ("dump expiretime pexpiretime pttl ttl type", "reads its key"),
        ("object|encoding object|freq object|idletime", "reads what a node knows about its key"),
        ("object|refcount memory|usage", "reads what a node knows about its key"),
        ("get getbit getrange strlen substr lcs bitcount bitfield_ro bitpos", "reads its keys"),
        (_HASH_READS, "reads its key"),
        ("lindex llen lpos lrange", "reads its key"),
        ("scard sismember smembers smismember srandmember sscan", "reads its key"),
        ("sdiff sinter sintercard sunion", "sets must meet to be compared"),
        (_ZSET_READS, "reads its keys"),
        ("geodist geohash geopos geosearch georadius_ro georadiusbymember_ro", "reads its key"),
        ("xlen xpending xrange xrevrange xinfo|consumers xinfo|groups xinfo|stream", "reads its key"),
        ("sort_ro", "reads its key, and others by pattern: see `request_traits.external_key_patterns`"),
        ("eval_ro evalsha_ro fcall_ro", "cannot write"),
    ),
    # What needs a dedicated connection; without keys it is for every node.
    ("xread", DEDICATED, PASS_THROUGH, COPY_READ, "with BLOCK only; without it is sent to one node as other reads are"),
    ("watch", DEDICATED, PASS_THROUGH, COPY_READ, "nodes remember it per connection; of copies the proxy does"),
    (_BLOCKING_POPS, DEDICATED, PASS_THROUGH, COPY_WAIT, _BLOCKING_REASON),
    ("wait", DEDICATED, AGG_MIN, COPY_ACK_COUNT, "so many replicas everywhere; copies are each other's replicas"),
    ("waitaof", DEDICATED, AGG_LOGICAL_AND, COPY_REFUSED, _WAITAOF_REASON),
    ("monitor", DEDICATED, ALL_EQUAL, COPY_READ, "a stream of everything, on a connection to each node"),
    ("xreadgroup", DEDICATED, PASS_THROUGH, COPY_REFUSED, _GROUP_REASON),
    # Writes that every copy repeats to the same result.
    *_alike(
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        ("append decr decrby incr incrby setrange", "depends on its key alone"),
        ("incrbyfloat hincrbyfloat", "the same arithmetic on the same value"),
        ("getdel getset setnx delifeq", "depends on its key alone"),
        ("msetnx", "all or nothing, so it must not be split, whatever a server's hint says"),
        ("bitop setbit", "depends on its keys alone"),
        ("bitfield", "depends on its key alone; with nothing but GET it is a read"),
        ("persist expireat pexpireat hexpireat hpersist hpexpireat", "the moment is absolute"),
        ("copy rename renamenx", "depends on its keys alone"),
        ("move", "the same key in another database of the same node"),
        ("hdel hgetdel hincrby hmset hset hsetnx", "depends on its key alone"),
        ("linsert lpop lpush lpushx lrem lset ltrim rpop rpush rpushx", "depends on its key alone"),
        ("lmove lmpop rpoplpush", "depends on its keys alone, and never waits"),
        ("sadd smove srem", "depends on its keys alone"),
        ("sdiffstore sinterstore sunionstore", "the result is a set, its order is nobody's"),
        (_ZSET_WRITES, "scores and names order everything"),
        ("geoadd geosearchstore", "depends on its keys alone"),
        ("georadius georadiusbymember", "depends on its keys alone; without STORE it is a read"),
        ("pfadd pfmerge", "the hash of HyperLogLog has a fixed seed"),
        ("pfcount", "of one key it may rewrite the cached count, so the copies' bytes would differ"),
        ("xack xdel xsetid", "names its entries"),
        ("xgroup|create xgroup|createconsumer xgroup|delconsumer", "depends on its key alone"),
        ("xgroup|destroy xgroup|setid", "depends on its key alone"),
    ),
    # Writes that name a time to live.
    *_alike(
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_ABSOLUTE_EXPIRY,
        ("set hsetex", "EX and PX count from now"),
        ("setex psetex expire pexpire hexpire hpexpire", "counts from now"),
        ("getex hgetex", "EX and PX count from now; without an option it is a read"),
        ("msetex", "EX and PX count from now; NX and XX promise all or nothing, so never split"),
        ("restore", "the time to live counts from now unless ABSTTL"),
    ),
    # Writes that copies cannot repeat, so the leader decides them for all.
    *_alike(
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_LEADER,
        ("spop", "each node would choose members of its own"),
        ("sort", "with BY and STORE, equal elements fall as each node's internals have it"),
        ("xclaim xautoclaim", "who has been idle for how long is told by each node's own clock"),
        ("eval evalsha fcall", "what a script does may depend on time, chance or its node"),
    ),
    # Writes whose result a node's clock or internals would decide, until they are rewritten.
    ("xadd", SINGLE_NODE, PASS_THROUGH, COPY_STREAM_WRITE, "the proxy makes the id for *, and trims exactly for ~"),
    ("xtrim", SINGLE_NODE, PASS_THROUGH, COPY_STREAM_WRITE, "with ~ each node would trim as its internals have it"),
)

_PERSISTENCE_REASON = "when a node writes its files is for the operator of that node to say"
_SWAPDB_REASON = "it exchanges whole databases under every client, and under a sync"

#: Refused until a pool's ``allow`` names them; then they are served like this.
SERVED_IF_ALLOWED: Final[tuple[Entry, ...]] = (
    ("config|set config|rewrite", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "it changes the settings of every node"),
    ("config|resetstat", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "it clears the statistics of every node"),
    ("save", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "it stops every node while it writes its file"),
    ("bgsave bgrewriteaof", ALL_NODES, ALL_EQUAL, COPY_BROADCAST, _PERSISTENCE_REASON),
    ("swapdb", ALL_NODES, ALL_SUCCEEDED, COPY_REFUSED, _SWAPDB_REASON),
)

_LATENCY = "latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset"
_LATENCY_REASON = "it speaks of one node; ask one node: PROXY NODE <name> LATENCY ..."
_MEMORY_REASON = "it speaks of one node; ask one node: PROXY NODE <name> MEMORY "

_CLUSTER_REASON = "This instance has cluster support disabled; the proxy decides where keys live"
_CLUSTER_SUBS = (
    "addslots addslotsrange bumpepoch cancelslotmigrations count-failure-reports countkeysinslot delslots "
    "delslotsrange failover flushslot flushslots forget getkeysinslot getslotmigrations help info keyslot links meet "
    "migrateslots myid myshardid nodes replicas replicate reset saveconfig set-config-epoch setslot shards slaves "
    "slot-stats slots syncslots"
)
_REPLICATION_REASON = "who follows whom is for the operator of the nodes to say"
_SUBCOMMAND_REASON = "it needs a subcommand, and one that is known here"
_CONTAINERS = "commandlog config function latency memory object pubsub script slowlog xgroup xinfo"

#: Never served. Names, reason.
REFUSED_COMMANDS: Final[tuple[tuple[str, str], ...]] = (
    (_CONTAINERS, _SUBCOMMAND_REASON),
    ("acl|deluser acl|load acl|save acl|setuser", "users stand in the proxy's configuration"),
    ("cluster " + " ".join(["cluster|" + sub for sub in _CLUSTER_SUBS.split()]), _CLUSTER_REASON),
    ("asking restore-asking clusterscan", _CLUSTER_REASON),
    ("module module|load module|loadex module|unload", "modules are for the operator of a node to load"),
    ("replicaof slaveof failover", _REPLICATION_REASON),
    ("sync psync replconf", "it is what replicas say to their master, and a shared connection would be lost by it"),
    ("migrate", "it would move keys to where the proxy does not look for them"),
    ("shutdown", "it would stop a node under every client"),
    ("debug", "it can crash or stop a node under every client"),
    ("pfdebug pfselftest", "it is for the developers of Redis"),
    ("script|debug", "it would turn a connection that others share into a debugger"),
    ("memory|doctor", _MEMORY_REASON + "DOCTOR"),
    ("memory|stats", _MEMORY_REASON + "STATS"),
    ("memory|malloc-stats", _MEMORY_REASON + "MALLOC-STATS"),
    (_LATENCY, _LATENCY_REASON),
)


def _serve(spec: CommandSpec, entry: Entry) -> None:
    _, spec.reach, spec.response_policy, spec.replication, reason = entry
    spec.reason = ""
    spec.replication_reason = reason if spec.replication == COPY_REFUSED else ""


def _serve_if_allowed(spec: CommandSpec, entry: Entry) -> None:
    _serve(spec, entry)
    spec.denied_by_default = True
    spec.reason = entry[4]


def _refuse(spec: CommandSpec, reason: str) -> None:
    spec.reach = REFUSED
    spec.reason = reason
    spec.replication_reason = reason


def apply_overlay(specs: dict[bytes, CommandSpec]) -> None:
    """Correct these specs, by name (a subcommand's has its bar); a name that is not there is a KeyError."""
    for entry in SERVED:
        for name in entry[0].split():
            _serve(specs[name.encode()], entry)
    for entry in SERVED_IF_ALLOWED:
        for name in entry[0].split():
            _serve_if_allowed(specs[name.encode()], entry)
    for names, reason in REFUSED_COMMANDS:
        for name in names.split():
            _refuse(specs[name.encode()], reason)
    apply_traits(specs)
    for spec in specs.values():
        spec.finalize()
