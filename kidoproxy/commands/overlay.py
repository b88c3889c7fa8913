"""What no server can tell us: whom a command reaches here, how the replies merge, what copies do, and why.

Every command and subcommand of the table stands here exactly once; a test fails on one that does not,
and a command without a line is never served. Servers' own hints are not followed blindly: Redis 7.0
calls MSETNX splittable, and Valkey MSETEX, though both promise all or nothing.

The last word of a line is its reason. Where the command is refused, in general or in copy pools, that
reason is the sentence which the client reads.
"""

from typing import Final

from kidoproxy.commands.spec import (
    AGG_LOGICAL_AND,
    AGG_MAX,
    AGG_MIN,
    AGG_SUM,
    ALL_EQUAL,
    ALL_NODES,
    ALL_SUCCEEDED,
    ANY_NODE,
    BITFIELD_SUBCOMMANDS,
    CHANNEL_NODE,
    CONCAT,
    COPY_ABSOLUTE_EXPIRY,
    COPY_ACK_COUNT,
    COPY_BROADCAST,
    COPY_PUBSUB_NODE,
    COPY_READ,
    COPY_REFUSED,
    DEDICATED,
    GEORADIUS_KEYS,
    IN_KEY_ORDER,
    LOCAL,
    MERGE_INFO,
    MIGRATE_KEYS,
    ONE_SUCCEEDED,
    PASS_THROUGH,
    READ_OR_TTL,
    READONLY,
    REFUSED,
    RESTORE_TTL,
    SCAN_NODES,
    SESSION,
    SEVERAL_KEYS_READ,
    SINGLE_NODE,
    SORT_BY_STORE,
    SORT_KEYS,
    SPLIT_BY_NODE,
    STORE_OR_READ,
    STREAM_KEYS,
    SUBSCRIBE,
    SUM_BY_NAME,
    TTL_OPTIONS,
    UNION,
    WEIGHTED_CHOICE,
    XADD_ID,
    XTRIM_APPROXIMATE,
    CommandSpec,
    Row,
)

#: Names, reach, rule, copy class, reason.
Entry = tuple[str, int, int, int, str]

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
_PROXY = "proxy|help proxy|nodes proxy|route proxy|node proxy|each proxy|replies proxy|stats proxy|sync"
_ACL = "acl acl|cat acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|log acl|users acl|whoami"
_SCRIPT_REASON = (
    "what a script does may hang on time, chance or its node, so copies could part; its read-only twin is served"
)
_CLAIM_REASON = "delivery times come from each node's own clock, so copies would part"

SERVED: Final[tuple[Entry, ...]] = (
    # The conversation, and what the proxy answers by itself.
    ("auth hello", SESSION, PASS_THROUGH, COPY_READ, "who the client is, the session knows"),
    ("quit reset select unwatch", SESSION, PASS_THROUGH, COPY_READ, "the state of one conversation"),
    ("multi exec discard", SESSION, PASS_THROUGH, COPY_READ, "transactions are queued here, links are shared"),
    ("client " + _CLIENT, SESSION, PASS_THROUGH, COPY_READ, "clients are the proxy's, a node sees only our links"),
    ("proxy " + _PROXY, SESSION, PASS_THROUGH, COPY_READ, "our own command"),
    ("ping echo time", LOCAL, PASS_THROUGH, COPY_READ, "needs no node, and must answer when all are down"),
    (_COMMAND + " command|list", LOCAL, PASS_THROUGH, COPY_READ, "what is served here, not what a node knows"),
    (_ACL, LOCAL, PASS_THROUGH, COPY_READ, "users stand in the proxy's configuration, a node sees only our own login"),
    ("lastsave role", LOCAL, PASS_THROUGH, COPY_READ, "facts about a server; here that is the proxy"),
    (
        "readonly readwrite",
        LOCAL,
        PASS_THROUGH,
        COPY_READ,
        "cluster only: an instance without cluster has an error for it",
    ),
    ("lolwut", ANY_NODE, PASS_THROUGH, COPY_READ, "any node paints as well"),
    # Cut by node.
    ("mget", SPLIT_BY_NODE, IN_KEY_ORDER, COPY_READ, "each value stands at the place of its key"),
    ("mset", SPLIT_BY_NODE, ALL_SUCCEEDED, COPY_BROADCAST, "each pair is set on its own"),
    ("del unlink", SPLIT_BY_NODE, AGG_SUM, COPY_BROADCAST, "counts of removed keys add up"),
    ("exists", SPLIT_BY_NODE, AGG_SUM, COPY_READ, "a key given twice counts twice, on its node as here"),
    ("touch", SPLIT_BY_NODE, AGG_SUM, COPY_READ, "counts add up; access times are a node's own and are not replicated"),
    # Every node.
    ("dbsize", ALL_NODES, AGG_SUM, COPY_READ, "each key is on one node"),
    ("keys", ALL_NODES, CONCAT, COPY_READ, "each key is on one node"),
    (
        "randomkey",
        ALL_NODES,
        WEIGHTED_CHOICE,
        COPY_READ,
        "a node is chosen by how many keys it has, then one of its keys",
    ),
    ("scan", SCAN_NODES, PASS_THROUGH, COPY_READ, "nodes one after another, the cursor says which"),
    ("flushall flushdb", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "the whole keyspace is meant"),
    ("info", ALL_NODES, MERGE_INFO, COPY_READ, "sums where a sum means something"),
    ("slowlog|get commandlog|get", ALL_NODES, CONCAT, COPY_READ, "each node keeps its own log"),
    ("slowlog|len commandlog|len", ALL_NODES, AGG_SUM, COPY_READ, "each node keeps its own log"),
    ("slowlog|reset commandlog|reset", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "each node keeps its own log"),
    ("memory|purge", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "each node has its own allocator"),
    (
        "script|load",
        ALL_NODES,
        ALL_EQUAL,
        COPY_BROADCAST,
        "a script must be known wherever its keys may live; the digest is the same",
    ),
    ("script|exists", ALL_NODES, AGG_LOGICAL_AND, COPY_READ, "known means known everywhere"),
    ("script|flush", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "forgotten means forgotten everywhere"),
    ("script|kill", ALL_NODES, ONE_SUCCEEDED, COPY_BROADCAST, "a script may run on any node"),
    ("function|load function|delete", ALL_NODES, ALL_EQUAL, COPY_BROADCAST, "libraries are the same everywhere"),
    ("function|flush function|restore", ALL_NODES, ALL_EQUAL, COPY_BROADCAST, "libraries are the same everywhere"),
    ("function|kill", ALL_NODES, ONE_SUCCEEDED, COPY_BROADCAST, "a function may run on any node"),
    (
        "function|list function|dump function|stats",
        ANY_NODE,
        PASS_THROUGH,
        COPY_READ,
        "libraries are the same everywhere",
    ),
    ("script|show", ANY_NODE, PASS_THROUGH, COPY_READ, "scripts are the same everywhere"),
    (
        "module|list",
        ANY_NODE,
        PASS_THROUGH,
        COPY_READ,
        "modules are meant to be the same everywhere",
    ),
    ("config|get", ANY_NODE, PASS_THROUGH, COPY_READ, "settings are meant to be the same everywhere"),
    (
        " ".join([name + "|help" for name in _HELP_CONTAINERS.split()]),
        ANY_NODE,
        PASS_THROUGH,
        COPY_READ,
        "the same text everywhere",
    ),
    # Channels.
    (_SUBSCRIBE, SUBSCRIBE, PASS_THROUGH, COPY_READ, "one subscription at the nodes, fanned out here"),
    ("publish spublish", CHANNEL_NODE, PASS_THROUGH, COPY_PUBSUB_NODE, "a channel lives where a key of its name would"),
    (
        "pubsub|channels pubsub|shardchannels",
        ALL_NODES,
        UNION,
        COPY_PUBSUB_NODE,
        "keyspace events are listened to everywhere",
    ),
    (
        "pubsub|numsub pubsub|shardnumsub",
        ALL_NODES,
        SUM_BY_NAME,
        COPY_PUBSUB_NODE,
        "our own subscription is replaced by our clients'",
    ),
    ("pubsub|numpat", ALL_NODES, AGG_MAX, COPY_PUBSUB_NODE, "every pattern is listened to everywhere"),
    # Reads of keys that meet on one node.
    ("dump expiretime pexpiretime pttl ttl type", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    (
        "object|encoding object|freq object|idletime",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_READ,
        "reads what a node knows about its key",
    ),
    ("object|refcount memory|usage", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads what a node knows about its key"),
    ("get getbit getrange strlen substr lcs", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its keys"),
    ("bitcount bitfield_ro bitpos", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    (_HASH_READS, SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("lindex llen lpos lrange", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("scard sismember smembers smismember srandmember sscan", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("sdiff sinter sintercard sunion", SINGLE_NODE, PASS_THROUGH, COPY_READ, "sets must meet to be compared"),
    (_ZSET_READS, SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its keys"),
    ("geodist geohash geopos geosearch", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("georadius_ro georadiusbymember_ro", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("xlen xpending xrange xrevrange", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("xinfo|consumers xinfo|groups xinfo|stream", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key"),
    ("xread", DEDICATED, PASS_THROUGH, COPY_READ, "reads its keys; with BLOCK it needs a lane, else it is like ONE"),
    # What a session does on a lane of its own; without keys it is for every node.
    (
        "watch",
        DEDICATED,
        PASS_THROUGH,
        COPY_READ,
        "a node remembers it for one connection; copies are watched by the proxy",
    ),
    (
        _BLOCKING_POPS,
        DEDICATED,
        PASS_THROUGH,
        COPY_REFUSED,
        "each copy would pop at a moment of its own; use its twin that does not wait",
    ),
    (
        "wait",
        DEDICATED,
        AGG_MIN,
        COPY_ACK_COUNT,
        "so many replicas everywhere; in a copy pool the copies are the replicas",
    ),
    (
        "waitaof",
        DEDICATED,
        AGG_LOGICAL_AND,
        COPY_REFUSED,
        "files are for the operator of each copy; WAIT says how many have it",
    ),
    ("monitor", DEDICATED, ALL_EQUAL, COPY_READ, "a stream of everything, on a lane to each node"),
    ("sort_ro", SINGLE_NODE, PASS_THROUGH, COPY_READ, "reads its key, and others by pattern: see reaches_outside"),
    ("eval_ro evalsha_ro fcall_ro", SINGLE_NODE, PASS_THROUGH, COPY_READ, "cannot write"),
    # Writes that every copy repeats to the same result.
    ("append decr decrby incr incrby setrange", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its key alone"),
    ("incrbyfloat hincrbyfloat", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "the same arithmetic on the same value"),
    ("getdel getset setnx delifeq", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its key alone"),
    (
        "msetnx",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "all or nothing, so it must not be split, whatever a server's hint says",
    ),
    ("bitop setbit", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its keys alone"),
    (
        "bitfield",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "depends on its key alone; with nothing but GET it is a read",
    ),
    ("persist expireat pexpireat", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "the moment is absolute"),
    ("copy rename renamenx", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its keys alone"),
    ("move", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "the same key in another database of the same node"),
    ("hdel hgetdel hincrby hmset hset hsetnx", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its key alone"),
    ("hexpireat hpersist hpexpireat", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "the moment is absolute"),
    (
        "linsert lpop lpush lpushx lrem lset ltrim",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "depends on its key alone",
    ),
    ("rpop rpush rpushx", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its key alone"),
    ("lmove lmpop rpoplpush", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its keys alone, and never waits"),
    ("sadd smove srem", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its keys alone"),
    (
        "sdiffstore sinterstore sunionstore",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "the result is a set, its order is nobody's",
    ),
    (_ZSET_WRITES, SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "scores and names order everything"),
    ("geoadd geosearchstore", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its keys alone"),
    (
        "georadius georadiusbymember",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "depends on its keys alone; without STORE it is a read",
    ),
    ("pfadd pfmerge", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "the hash of HyperLogLog has a fixed seed"),
    (
        "pfcount",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "of one key it may rewrite the cached count, so the copies' bytes would part",
    ),
    ("xack xdel xsetid", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "names its entries"),
    ("xgroup|create xgroup|createconsumer", SINGLE_NODE, PASS_THROUGH, COPY_BROADCAST, "depends on its key alone"),
    (
        "xgroup|delconsumer xgroup|destroy xgroup|setid",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_BROADCAST,
        "depends on its key alone",
    ),
    # Writes that name a time to live.
    ("set", SINGLE_NODE, PASS_THROUGH, COPY_ABSOLUTE_EXPIRY, "EX and PX count from now"),
    ("setex psetex", SINGLE_NODE, PASS_THROUGH, COPY_ABSOLUTE_EXPIRY, "counts from now"),
    (
        "getex",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_ABSOLUTE_EXPIRY,
        "EX and PX count from now; without an option it is a read",
    ),
    (
        "msetex",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_ABSOLUTE_EXPIRY,
        "EX and PX count from now; NX and XX promise all or nothing, so never split",
    ),
    ("expire pexpire", SINGLE_NODE, PASS_THROUGH, COPY_ABSOLUTE_EXPIRY, "counts from now"),
    ("hexpire hpexpire", SINGLE_NODE, PASS_THROUGH, COPY_ABSOLUTE_EXPIRY, "counts from now"),
    (
        "hgetex",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_ABSOLUTE_EXPIRY,
        "EX and PX count from now; without an option it is a read",
    ),
    ("hsetex", SINGLE_NODE, PASS_THROUGH, COPY_ABSOLUTE_EXPIRY, "EX and PX count from now"),
    ("restore", SINGLE_NODE, PASS_THROUGH, COPY_ABSOLUTE_EXPIRY, "the time to live counts from now unless ABSTTL"),
    # Writes that copies cannot repeat (yet); the reason is what the client of a copy pool reads.
    (
        "spop",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_REFUSED,
        "each node would choose members of its own; use SRANDMEMBER, then SREM",
    ),
    (
        "sort",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_REFUSED,
        "with BY and STORE, equal elements fall as each node's internals have it",
    ),
    (
        "xadd",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_REFUSED,
        "each node would make an id of its own; give the id, and trim without ~",
    ),
    (
        "xtrim",
        SINGLE_NODE,
        PASS_THROUGH,
        COPY_REFUSED,
        "with ~ each node trims as its internals have it; trim without ~",
    ),
    ("xclaim xautoclaim", SINGLE_NODE, PASS_THROUGH, COPY_REFUSED, _CLAIM_REASON),
    ("xreadgroup", DEDICATED, PASS_THROUGH, COPY_REFUSED, _CLAIM_REASON),
    ("eval evalsha fcall", SINGLE_NODE, PASS_THROUGH, COPY_REFUSED, _SCRIPT_REASON),
)

_PERSISTENCE_REASON = "when a node writes its files is for the operator of that node to say"

#: Refused until a pool's ``allow`` names them; then they are served like this.
SERVED_IF_ALLOWED: Final[tuple[Entry, ...]] = (
    ("config|set config|rewrite", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "it changes the settings of every node"),
    ("config|resetstat", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "it clears the statistics of every node"),
    ("save", ALL_NODES, ALL_SUCCEEDED, COPY_BROADCAST, "it stops every node while it writes its file"),
    ("bgsave bgrewriteaof", ALL_NODES, ALL_EQUAL, COPY_BROADCAST, _PERSISTENCE_REASON),
    (
        "swapdb",
        ALL_NODES,
        ALL_SUCCEEDED,
        COPY_REFUSED,
        "it exchanges whole databases under every client, and under a sync",
    ),
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
    ("sync psync replconf", "it is what replicas say to their master, and a shared link would be lost by it"),
    ("migrate", "it would move keys to where the proxy does not look for them"),
    ("shutdown", "it would stop a node under every client"),
    ("debug", "it can crash or stop a node under every client"),
    ("pfdebug pfselftest", "it is for the developers of Redis"),
    ("script|debug", "it would turn a link that others share into a debugger"),
    ("memory|doctor", _MEMORY_REASON + "DOCTOR"),
    ("memory|stats", _MEMORY_REASON + "STATS"),
    ("memory|malloc-stats", _MEMORY_REASON + "MALLOC-STATS"),
    (_LATENCY, _LATENCY_REASON),
)

#: Where a request says how long it may wait, counted from the end if negative, and how many units make a second.
TIMEOUT_ARGUMENTS: Final[tuple[tuple[str, int, int], ...]] = (
    ("blpop brpop blmove brpoplpush bzpopmin bzpopmax", -1, 1),
    ("blmpop bzmpop", 1, 1),
    ("wait waitaof", -1, 1000),
)

#: The copy class hangs on the arguments; the class above is the most careful one. Names, what decides.
ARG_DEPENDENT: Final[tuple[tuple[str, int], ...]] = (
    ("set msetex hsetex", TTL_OPTIONS),
    ("getex hgetex", READ_OR_TTL),
    ("restore", RESTORE_TTL),
    ("bitfield", BITFIELD_SUBCOMMANDS),
    ("georadius georadiusbymember", STORE_OR_READ),
    ("pfcount", SEVERAL_KEYS_READ),
    ("sort", SORT_BY_STORE),
    ("xadd", XADD_ID),
    ("xtrim", XTRIM_APPROXIMATE),
)

#: Where the keys are is found by hand: the specifications are unknown, or can be misled by a name.
KEY_FINDERS: Final[tuple[tuple[str, int], ...]] = (
    ("sort sort_ro", SORT_KEYS),
    ("xread xreadgroup", STREAM_KEYS),
    ("georadius georadiusbymember", GEORADIUS_KEYS),
    ("migrate", MIGRATE_KEYS),
)

#: May change something though no server flags them as writes: not repeated when their fate is unknown.
ALSO_WRITE: Final = (
    "eval evalsha fcall script|load script|flush script|kill function|kill publish spublish config|set config|rewrite "
    "config|resetstat save bgsave bgrewriteaof slowlog|reset commandlog|reset memory|purge"
)

#: Change nothing though no server flags them as reads: may be asked again.
ALSO_RETRYABLE: Final = (
    "info config|get function|list function|dump function|stats script|exists script|show slowlog|get slowlog|len "
    "commandlog|get commandlog|len module|list pubsub|channels pubsub|numsub pubsub|numpat pubsub|shardchannels "
    "pubsub|shardnumsub"
)

#: Subcommands of our own command, which no server's table has. Name, arity, categories, summary. What shows the nodes
#: is dangerous as INFO is; what may harm one of them is for an administrator.
_PROXY_SUBS: Final[tuple[tuple[str, int, str, str], ...]] = (
    ("each", -3, "connection slow", "Asks every node and returns a list of their replies"),
    ("help", 2, "connection slow", "Returns helpful text about the different subcommands"),
    ("node", -4, "admin dangerous slow", "Asks one node, by its name"),
    ("nodes", 2, "dangerous slow", "Lists the nodes and how they are"),
    ("replies", 3, "connection slow", "Chooses between one merged reply and a list of each node's"),
    ("route", -3, "dangerous slow", "Says which nodes a command would be sent to, and why, without sending it"),
    ("stats", 2, "dangerous slow", "Returns what the proxy counts"),
    ("sync", -2, "admin dangerous slow", "Brings a copy that is behind up to date"),
)


def _proxy_row(name: str, arity: int, flags: str, categories: str, summary: str) -> Row:
    return (name, arity, flags, 0, 0, 0, categories, "", (), "connection", "0.1.0", summary)


#: The rows of our own command, as the table would have them.
PROXY_ROWS: Final[tuple[Row, ...]] = (
    _proxy_row("proxy", -2, "", "slow", "Asks the proxy itself"),
    *[_proxy_row(f"proxy|{sub[0]}", sub[1], "loading noscript stale", sub[2], sub[3]) for sub in _PROXY_SUBS],
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
    _apply_traits(specs)
    for spec in specs.values():
        spec.finalize()


def _apply_traits(specs: dict[bytes, CommandSpec]) -> None:
    """The marks beside reach, rule and copy class."""
    for spec in specs.values():
        served = spec.reach in (SINGLE_NODE, SPLIT_BY_NODE, ALL_NODES, ANY_NODE, SCAN_NODES) or spec.name == b"xread"
        spec.retryable = served and (spec.flags & READONLY != 0 or spec.name.endswith(b"|help"))
    for names, finder in KEY_FINDERS:
        for name in names.split():
            specs[name.encode()].key_finder = finder
    for names, at, unit in TIMEOUT_ARGUMENTS:
        for name in names.split():
            specs[name.encode()].timeout_position = at
            specs[name.encode()].timeout_units_per_second = unit
    for names, arg_dependence in ARG_DEPENDENT:
        for name in names.split():
            specs[name.encode()].arg_dependence = arg_dependence
    for name in ALSO_WRITE.split():
        specs[name.encode()].may_write = True
    for name in ALSO_RETRYABLE.split():
        specs[name.encode()].retryable = True
