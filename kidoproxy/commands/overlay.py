"""What no server can tell us: whom a command reaches here, how the replies merge, what copies do, and why.

Every command and subcommand of the table stands here exactly once; a test fails on one that does not,
and a command without a line is never served. Servers' own hints are not followed blindly: Redis 7.0
calls MSETNX splittable, and Valkey MSETEX, though both promise all or nothing.

The last word of a line is its reason. Where the command is refused, in general or in copy pools, that
reason is the sentence which the client reads.
"""

from typing import Final

from kidoproxy.commands.spec import (
    ALL_OK,
    ANY,
    CHANNEL,
    CHOICE,
    CONCAT,
    COPY_ALL,
    COPY_COUNT,
    COPY_EXPIRY,
    COPY_ONE,
    COPY_READ,
    COPY_REFUSED,
    EACH_AND,
    EVERY,
    GEORADIUS_KEYS,
    GREATEST,
    IN_KEY_ORDER,
    INFO,
    KEY_COUNT,
    LANE,
    LEAST,
    LISTEN,
    LOCAL,
    MIGRATE_KEYS,
    ONE,
    ONE_OK,
    READ,
    READ_OR_TTL,
    REFUSED,
    RELAY,
    RESTORE_TTL,
    SAME,
    SCAN,
    SESSION,
    SORT_KEYS,
    SORT_STORE,
    SPLIT,
    STORE_KEY,
    STREAM_ID,
    STREAM_KEYS,
    STREAM_TRIM,
    SUBCOMMANDS,
    TALLY,
    TOTAL,
    TTL_OPTIONS,
    UNION,
    CommandSpec,
    Row,
)

#: Names, reach, rule, copy class, reason.
Line = tuple[str, int, int, int, str]

_HASH_READS = "hexists hexpiretime hget hgetall hkeys hlen hmget hpexpiretime hpttl hrandfield hscan hstrlen httl hvals"
_ZSET_READS = (
    "zcard zcount zdiff zinter zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank "
    "zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion"
)
_ZSET_WRITES = (
    "zadd zdiffstore zincrby zinterstore zmpop zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank "
    "zremrangebyscore zunionstore"
)
_LISTEN = "subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe"
_HELP = "config function latency memory module object pubsub script slowlog commandlog xgroup xinfo"
_CLIENT = (
    "client|caching client|capa client|getname client|getredir client|help client|id client|import-source client|info "
    "client|kill client|list client|no-evict client|no-touch client|pause client|reply client|setinfo client|setname "
    "client|tracking client|trackinginfo client|unblock client|unpause"
)
_COMMAND = "command command|count command|docs command|getkeys command|getkeysandflags command|help command|info"
_POPS = "blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin"
_PROXY = "proxy|help proxy|nodes proxy|route proxy|node proxy|each proxy|replies proxy|stats proxy|sync"
_ACL = "acl acl|cat acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|log acl|users acl|whoami"
_SCRIPT = "what a script does may hang on time, chance or its node, so copies could part; its read-only twin is served"
_CLAIM = "delivery times come from each node's own clock, so copies would part"

SERVED: Final[tuple[Line, ...]] = (
    # The conversation, and what the proxy answers by itself.
    ("auth hello", SESSION, RELAY, COPY_READ, "who the client is, the session knows"),
    ("quit reset select unwatch", SESSION, RELAY, COPY_READ, "the state of one conversation"),
    ("multi exec discard", SESSION, RELAY, COPY_READ, "transactions are queued here, links are shared"),
    ("client " + _CLIENT, SESSION, RELAY, COPY_READ, "clients are the proxy's, a node sees only our links"),
    ("proxy " + _PROXY, SESSION, RELAY, COPY_READ, "our own command"),
    ("ping echo time", LOCAL, RELAY, COPY_READ, "needs no node, and must answer when all are down"),
    (_COMMAND + " command|list", LOCAL, RELAY, COPY_READ, "what is served here, not what a node knows"),
    (_ACL, LOCAL, RELAY, COPY_READ, "users stand in the proxy's configuration, a node sees only our own login"),
    ("lastsave role", LOCAL, RELAY, COPY_READ, "facts about a server; here that is the proxy"),
    ("readonly readwrite", LOCAL, RELAY, COPY_READ, "cluster only: an instance without cluster has an error for it"),
    ("lolwut", ANY, RELAY, COPY_READ, "any node paints as well"),
    # Cut by node.
    ("mget", SPLIT, IN_KEY_ORDER, COPY_READ, "each value stands at the place of its key"),
    ("mset", SPLIT, ALL_OK, COPY_ALL, "each pair is set on its own"),
    ("del unlink", SPLIT, TOTAL, COPY_ALL, "counts of removed keys add up"),
    ("exists", SPLIT, TOTAL, COPY_READ, "a key given twice counts twice, on its node as here"),
    ("touch", SPLIT, TOTAL, COPY_READ, "counts add up; access times are a node's own and are not replicated"),
    # Every node.
    ("dbsize", EVERY, TOTAL, COPY_READ, "each key is on one node"),
    ("keys", EVERY, CONCAT, COPY_READ, "each key is on one node"),
    ("randomkey", EVERY, CHOICE, COPY_READ, "a node is chosen by how many keys it has, then one of its keys"),
    ("scan", SCAN, RELAY, COPY_READ, "nodes one after another, the cursor says which"),
    ("flushall flushdb", EVERY, ALL_OK, COPY_ALL, "the whole keyspace is meant"),
    ("info", EVERY, INFO, COPY_READ, "sums where a sum means something"),
    ("slowlog|get commandlog|get", EVERY, CONCAT, COPY_READ, "each node keeps its own log"),
    ("slowlog|len commandlog|len", EVERY, TOTAL, COPY_READ, "each node keeps its own log"),
    ("slowlog|reset commandlog|reset", EVERY, ALL_OK, COPY_ALL, "each node keeps its own log"),
    ("memory|purge", EVERY, ALL_OK, COPY_ALL, "each node has its own allocator"),
    ("script|load", EVERY, SAME, COPY_ALL, "a script must be known wherever its keys may live; the digest is the same"),
    ("script|exists", EVERY, EACH_AND, COPY_READ, "known means known everywhere"),
    ("script|flush", EVERY, ALL_OK, COPY_ALL, "forgotten means forgotten everywhere"),
    ("script|kill", EVERY, ONE_OK, COPY_ALL, "a script may run on any node"),
    ("function|load function|delete", EVERY, SAME, COPY_ALL, "libraries are the same everywhere"),
    ("function|flush function|restore", EVERY, SAME, COPY_ALL, "libraries are the same everywhere"),
    ("function|kill", EVERY, ONE_OK, COPY_ALL, "a function may run on any node"),
    ("function|list function|dump function|stats", ANY, RELAY, COPY_READ, "libraries are the same everywhere"),
    ("script|show", ANY, RELAY, COPY_READ, "scripts are the same everywhere"),
    (
        "module|list",
        ANY,
        RELAY,
        COPY_READ,
        "modules are meant to be the same everywhere",
    ),
    ("config|get", ANY, RELAY, COPY_READ, "settings are meant to be the same everywhere"),
    (" ".join([name + "|help" for name in _HELP.split()]), ANY, RELAY, COPY_READ, "the same text everywhere"),
    # Channels.
    (_LISTEN, LISTEN, RELAY, COPY_READ, "one subscription at the nodes, fanned out here"),
    ("publish spublish", CHANNEL, RELAY, COPY_ONE, "a channel lives where a key of its name would"),
    ("pubsub|channels pubsub|shardchannels", EVERY, UNION, COPY_ONE, "keyspace events are listened to everywhere"),
    ("pubsub|numsub pubsub|shardnumsub", EVERY, TALLY, COPY_ONE, "our own subscription is replaced by our clients'"),
    ("pubsub|numpat", EVERY, GREATEST, COPY_ONE, "every pattern is listened to everywhere"),
    # Reads of keys that meet on one node.
    ("dump expiretime pexpiretime pttl ttl type", ONE, RELAY, COPY_READ, "reads its key"),
    ("object|encoding object|freq object|idletime", ONE, RELAY, COPY_READ, "reads what a node knows about its key"),
    ("object|refcount memory|usage", ONE, RELAY, COPY_READ, "reads what a node knows about its key"),
    ("get getbit getrange strlen substr lcs", ONE, RELAY, COPY_READ, "reads its keys"),
    ("bitcount bitfield_ro bitpos", ONE, RELAY, COPY_READ, "reads its key"),
    (_HASH_READS, ONE, RELAY, COPY_READ, "reads its key"),
    ("lindex llen lpos lrange", ONE, RELAY, COPY_READ, "reads its key"),
    ("scard sismember smembers smismember srandmember sscan", ONE, RELAY, COPY_READ, "reads its key"),
    ("sdiff sinter sintercard sunion", ONE, RELAY, COPY_READ, "sets must meet to be compared"),
    (_ZSET_READS, ONE, RELAY, COPY_READ, "reads its keys"),
    ("geodist geohash geopos geosearch", ONE, RELAY, COPY_READ, "reads its key"),
    ("georadius_ro georadiusbymember_ro", ONE, RELAY, COPY_READ, "reads its key"),
    ("xlen xpending xrange xrevrange", ONE, RELAY, COPY_READ, "reads its key"),
    ("xinfo|consumers xinfo|groups xinfo|stream", ONE, RELAY, COPY_READ, "reads its key"),
    ("xread", LANE, RELAY, COPY_READ, "reads its keys; with BLOCK it needs a lane, else it is like ONE"),
    # What a session does on a lane of its own; without keys it is for every node.
    ("watch", LANE, RELAY, COPY_READ, "a node remembers it for one connection; copies are watched by the proxy"),
    (
        _POPS,
        LANE,
        RELAY,
        COPY_REFUSED,
        "each copy would pop at a moment of its own; use its twin that does not wait",
    ),
    ("wait", LANE, LEAST, COPY_COUNT, "so many replicas everywhere; in a copy pool the copies are the replicas"),
    ("waitaof", LANE, EACH_AND, COPY_REFUSED, "files are for the operator of each copy; WAIT says how many have it"),
    ("monitor", LANE, SAME, COPY_READ, "a stream of everything, on a lane to each node"),
    ("sort_ro", ONE, RELAY, COPY_READ, "reads its key, and others by pattern: see reaches_outside"),
    ("eval_ro evalsha_ro fcall_ro", ONE, RELAY, COPY_READ, "cannot write"),
    # Writes that every copy repeats to the same result.
    ("append decr decrby incr incrby setrange", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    ("incrbyfloat hincrbyfloat", ONE, RELAY, COPY_ALL, "the same arithmetic on the same value"),
    ("getdel getset setnx delifeq", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    ("msetnx", ONE, RELAY, COPY_ALL, "all or nothing, so it must not be split, whatever a server's hint says"),
    ("bitop setbit", ONE, RELAY, COPY_ALL, "depends on its keys alone"),
    ("bitfield", ONE, RELAY, COPY_ALL, "depends on its key alone; with nothing but GET it is a read"),
    ("persist expireat pexpireat", ONE, RELAY, COPY_ALL, "the moment is absolute"),
    ("copy rename renamenx", ONE, RELAY, COPY_ALL, "depends on its keys alone"),
    ("move", ONE, RELAY, COPY_ALL, "the same key in another database of the same node"),
    ("hdel hgetdel hincrby hmset hset hsetnx", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    ("hexpireat hpersist hpexpireat", ONE, RELAY, COPY_ALL, "the moment is absolute"),
    ("linsert lpop lpush lpushx lrem lset ltrim", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    ("rpop rpush rpushx", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    ("lmove lmpop rpoplpush", ONE, RELAY, COPY_ALL, "depends on its keys alone, and never waits"),
    ("sadd smove srem", ONE, RELAY, COPY_ALL, "depends on its keys alone"),
    ("sdiffstore sinterstore sunionstore", ONE, RELAY, COPY_ALL, "the result is a set, its order is nobody's"),
    (_ZSET_WRITES, ONE, RELAY, COPY_ALL, "scores and names order everything"),
    ("geoadd geosearchstore", ONE, RELAY, COPY_ALL, "depends on its keys alone"),
    ("georadius georadiusbymember", ONE, RELAY, COPY_ALL, "depends on its keys alone; without STORE it is a read"),
    ("pfadd pfmerge", ONE, RELAY, COPY_ALL, "the hash of HyperLogLog has a fixed seed"),
    ("pfcount", ONE, RELAY, COPY_ALL, "of one key it may rewrite the cached count, so the copies' bytes would part"),
    ("xack xdel xsetid", ONE, RELAY, COPY_ALL, "names its entries"),
    ("xgroup|create xgroup|createconsumer", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    ("xgroup|delconsumer xgroup|destroy xgroup|setid", ONE, RELAY, COPY_ALL, "depends on its key alone"),
    # Writes that name a time to live.
    ("set", ONE, RELAY, COPY_EXPIRY, "EX and PX count from now"),
    ("setex psetex", ONE, RELAY, COPY_EXPIRY, "counts from now"),
    ("getex", ONE, RELAY, COPY_EXPIRY, "EX and PX count from now; without an option it is a read"),
    ("msetex", ONE, RELAY, COPY_EXPIRY, "EX and PX count from now; NX and XX promise all or nothing, so never split"),
    ("expire pexpire", ONE, RELAY, COPY_EXPIRY, "counts from now"),
    ("hexpire hpexpire", ONE, RELAY, COPY_EXPIRY, "counts from now"),
    ("hgetex", ONE, RELAY, COPY_EXPIRY, "EX and PX count from now; without an option it is a read"),
    ("hsetex", ONE, RELAY, COPY_EXPIRY, "EX and PX count from now"),
    ("restore", ONE, RELAY, COPY_EXPIRY, "the time to live counts from now unless ABSTTL"),
    # Writes that copies cannot repeat (yet); the reason is what the client of a copy pool reads.
    ("spop", ONE, RELAY, COPY_REFUSED, "each node would choose members of its own; use SRANDMEMBER, then SREM"),
    ("sort", ONE, RELAY, COPY_REFUSED, "with BY and STORE, equal elements fall as each node's internals have it"),
    ("xadd", ONE, RELAY, COPY_REFUSED, "each node would make an id of its own; give the id, and trim without ~"),
    ("xtrim", ONE, RELAY, COPY_REFUSED, "with ~ each node trims as its internals have it; trim without ~"),
    ("xclaim xautoclaim", ONE, RELAY, COPY_REFUSED, _CLAIM),
    ("xreadgroup", LANE, RELAY, COPY_REFUSED, _CLAIM),
    ("eval evalsha fcall", ONE, RELAY, COPY_REFUSED, _SCRIPT),
)

_PERSISTENCE = "when a node writes its files is for the operator of that node to say"

#: Refused until a pool's ``allow`` names them; then they are served like this.
OPENABLE: Final[tuple[Line, ...]] = (
    ("config|set config|rewrite", EVERY, ALL_OK, COPY_ALL, "it changes the settings of every node"),
    ("config|resetstat", EVERY, ALL_OK, COPY_ALL, "it clears the statistics of every node"),
    ("save", EVERY, ALL_OK, COPY_ALL, "it stops every node while it writes its file"),
    ("bgsave bgrewriteaof", EVERY, SAME, COPY_ALL, _PERSISTENCE),
    ("swapdb", EVERY, ALL_OK, COPY_REFUSED, "it exchanges whole databases under every client, and under a sync"),
)

_LATENCY = "latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset"
_LATENCY_HINT = "it speaks of one node; ask one node: PROXY NODE <name> LATENCY ..."
_MEMORY_HINT = "it speaks of one node; ask one node: PROXY NODE <name> MEMORY "

_CLUSTER = "This instance has cluster support disabled; the proxy decides where keys live"
_CLUSTER_SUBS = (
    "addslots addslotsrange bumpepoch cancelslotmigrations count-failure-reports countkeysinslot delslots "
    "delslotsrange failover flushslot flushslots forget getkeysinslot getslotmigrations help info keyslot links meet "
    "migrateslots myid myshardid nodes replicas replicate reset saveconfig set-config-epoch setslot shards slaves "
    "slot-stats slots syncslots"
)
_REPLICATION = "who follows whom is for the operator of the nodes to say"
_SUBCOMMAND = "it needs a subcommand, and one that is known here"
_CONTAINERS = "commandlog config function latency memory object pubsub script slowlog xgroup xinfo"

#: Never served. Names, reason.
REFUSALS: Final[tuple[tuple[str, str], ...]] = (
    (_CONTAINERS, _SUBCOMMAND),
    ("acl|deluser acl|load acl|save acl|setuser", "users stand in the proxy's configuration"),
    ("cluster " + " ".join(["cluster|" + sub for sub in _CLUSTER_SUBS.split()]), _CLUSTER),
    ("asking restore-asking clusterscan", _CLUSTER),
    ("module module|load module|loadex module|unload", "modules are for the operator of a node to load"),
    ("replicaof slaveof failover", _REPLICATION),
    ("sync psync replconf", "it is what replicas say to their master, and a shared link would be lost by it"),
    ("migrate", "it would move keys to where the proxy does not look for them"),
    ("shutdown", "it would stop a node under every client"),
    ("debug", "it can crash or stop a node under every client"),
    ("pfdebug pfselftest", "it is for the developers of Redis"),
    ("script|debug", "it would turn a link that others share into a debugger"),
    ("memory|doctor", _MEMORY_HINT + "DOCTOR"),
    ("memory|stats", _MEMORY_HINT + "STATS"),
    ("memory|malloc-stats", _MEMORY_HINT + "MALLOC-STATS"),
    (_LATENCY, _LATENCY_HINT),
)

#: Where a request says how long it may wait, counted from the end if negative, and how many units make a second.
TIMEOUTS: Final[tuple[tuple[str, int, int], ...]] = (
    ("blpop brpop blmove brpoplpush bzpopmin bzpopmax", -1, 1),
    ("blmpop bzmpop", 1, 1),
    ("wait waitaof", -1, 1000),
)

#: The copy class hangs on the arguments; the class above is the most careful one. Names, what decides.
JUDGED: Final[tuple[tuple[str, int], ...]] = (
    ("set msetex hsetex", TTL_OPTIONS),
    ("getex hgetex", READ_OR_TTL),
    ("restore", RESTORE_TTL),
    ("bitfield", SUBCOMMANDS),
    ("georadius georadiusbymember", STORE_KEY),
    ("pfcount", KEY_COUNT),
    ("sort", SORT_STORE),
    ("xadd", STREAM_ID),
    ("xtrim", STREAM_TRIM),
)

#: Where the keys are is found by hand: the specifications are unknown, or can be misled by a name.
FINDERS: Final[tuple[tuple[str, int], ...]] = (
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
ALSO_READ: Final = (
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


def _serve(spec: CommandSpec, line: Line) -> None:
    _, spec.reach, spec.rule, spec.copy, why = line
    spec.reason = ""
    spec.copy_reason = why if spec.copy == COPY_REFUSED else ""


def _open(spec: CommandSpec, line: Line) -> None:
    _serve(spec, line)
    spec.deny_default = True
    spec.reason = line[4]


def _refuse(spec: CommandSpec, reason: str) -> None:
    spec.reach = REFUSED
    spec.reason = reason
    spec.copy_reason = reason


def apply(specs: dict[bytes, CommandSpec]) -> None:
    """Correct these specs, by name (a subcommand's has its bar); a name that is not there is a KeyError."""
    for line in SERVED:
        for name in line[0].split():
            _serve(specs[name.encode()], line)
    for line in OPENABLE:
        for name in line[0].split():
            _open(specs[name.encode()], line)
    for names, reason in REFUSALS:
        for name in names.split():
            _refuse(specs[name.encode()], reason)
    _mark(specs)
    for spec in specs.values():
        spec.settle()


def _mark(specs: dict[bytes, CommandSpec]) -> None:
    """The marks beside reach, rule and copy class."""
    for spec in specs.values():
        served = spec.reach in (ONE, SPLIT, EVERY, ANY, SCAN) or spec.name == b"xread"
        spec.repeatable = served and (spec.flags & READ != 0 or spec.name.endswith(b"|help"))
    for names, finder in FINDERS:
        for name in names.split():
            specs[name.encode()].finder = finder
    for names, at, unit in TIMEOUTS:
        for name in names.split():
            specs[name.encode()].timeout_at = at
            specs[name.encode()].timeout_unit = unit
    for names, judged in JUDGED:
        for name in names.split():
            specs[name.encode()].judged = judged
    for name in ALSO_WRITE.split():
        specs[name.encode()].write = True
    for name in ALSO_READ.split():
        specs[name.encode()].repeatable = True
