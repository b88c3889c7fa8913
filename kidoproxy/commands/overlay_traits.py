"""The reviewed overlay's second half: what is peculiar to some commands, beside reach, policy and what copies do.

Lists of names, each with what it says of them. A name that the table lacks is a KeyError at import.
"""

from typing import Final

from kidoproxy.commands.handler_ids import HANDLERS
from kidoproxy.commands.proxy_command import PROXY_NAMES
from kidoproxy.commands.spec import (
    ALL_NODES,
    ANY_NODE,
    BITFIELD_SUBCOMMANDS,
    CHANNEL,
    DEDICATED,
    EFFECT_CLAIMED_ENTRIES,
    EFFECT_REMOVED_MEMBERS,
    EXPIRY_KEPT,
    EXPIRY_OF_SOURCES,
    EXPIRY_UNAFFECTED,
    GEORADIUS_KEYS,
    IN_MULTI_AT_ONCE,
    IN_MULTI_BOUNDARY,
    IN_MULTI_BY_NODE,
    IN_MULTI_REFUSED,
    MIGRATE_KEYS,
    PATTERN,
    READ_OR_TTL,
    READONLY,
    RESTORE_TTL,
    SCAN_NODES,
    SCRIPT_DIGEST,
    SCRIPT_FUNCTION,
    SCRIPT_TEXT,
    SECRETS_OF_LOGINS,
    SECRETS_OF_MODULES,
    SECRETS_OF_SETTINGS,
    SEVERAL_KEYS_READ,
    SHARD,
    SINGLE_NODE,
    SORT_BY_STORE,
    SORT_KEYS,
    SPLIT_BY_NODE,
    STORE_OR_READ,
    STREAM_KEYS,
    TOUCHES_LIBRARIES,
    TOUCHES_SERVER,
    TTL_OPTIONS,
    XREADGROUP_CLAIM,
    CommandSpec,
)

#: Where a request says how long it may wait, counted from the end if negative, and how many units make a second.
TIMEOUT_ARGUMENTS: Final[tuple[tuple[str, int, int], ...]] = (
    ("blpop brpop blmove brpoplpush bzpopmin bzpopmax", -1, 1),
    ("blmpop bzmpop", 1, 1),
    ("wait waitaof", -1, 1000),
)

#: What copies do depends on the arguments; the overlay has the most careful case. Names, what decides.
ARG_DEPENDENT: Final[tuple[tuple[str, int], ...]] = (
    ("set msetex hsetex", TTL_OPTIONS),
    ("getex hgetex", READ_OR_TTL),
    ("restore", RESTORE_TTL),
    ("bitfield", BITFIELD_SUBCOMMANDS),
    ("georadius georadiusbymember", STORE_OR_READ),
    ("pfcount", SEVERAL_KEYS_READ),
    ("sort", SORT_BY_STORE),
    ("xreadgroup", XREADGROUP_CLAIM),
)

#: What the other copies are told of what the leader has decided, where it is not the values of the keys.
LEADER_EFFECTS: Final[tuple[tuple[str, int], ...]] = (
    ("spop", EFFECT_REMOVED_MEMBERS),
    ("xclaim xautoclaim", EFFECT_CLAIMED_ENTRIES),
)

#: Where the keys are is found by hand: the specifications are unknown, or can be misled by a name.
KEY_FINDERS: Final[tuple[tuple[str, int], ...]] = (
    ("sort sort_ro", SORT_KEYS),
    ("xread xreadgroup", STREAM_KEYS),
    ("georadius georadiusbymember", GEORADIUS_KEYS),
    ("migrate", MIGRATE_KEYS),
)

#: Copies run them in scripts behind a prologue, which makes time and order the same. Names, the piece that does it.
PROLOGUE_PIECES: Final[tuple[tuple[str, str], ...]] = (
    ("set", "SET"),
    ("getex", "GETEX"),
    ("msetex", "MSETEX"),
    ("hsetex", "HSETEX"),
    ("hgetex", "HGETEX"),
    ("setex psetex", "SETEX"),
    ("expire pexpire", "EXPIRE"),
    ("hexpire hpexpire", "HEXPIRE"),
    ("restore", "RESTORE"),
    ("time", "TIME"),
    ("ttl pttl", "TTL"),
    ("httl hpttl", "HTTL"),
    ("smembers sunion sinter sdiff hkeys keys", "SETS"),
    ("hgetall", "HGETALL"),
    ("hvals", "HVALS"),
    ("scan sscan hscan zscan", "SCANS"),
    ("xtrim", "XTRIM"),
    ("xadd", "XADD"),
    ("publish spublish", "PUBLISH"),
)

#: They run a script, which their first argument gives or names.
SCRIPT_SOURCES: Final[tuple[tuple[str, int], ...]] = (
    ("eval eval_ro", SCRIPT_TEXT),
    ("evalsha evalsha_ro", SCRIPT_DIGEST),
    ("fcall fcall_ro", SCRIPT_FUNCTION),
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

#: They speak of all keys of a node: in a script they see one node's.
KEYSPACE: Final = "keys scan dbsize randomkey flushdb flushall swapdb"

#: They walk through one key with a cursor, which means something to one copy only.
KEY_SCANS: Final = "hscan sscan zscan"

#: The tips by which servers say that equal nodes may answer differently.
NONDETERMINISTIC_TIPS: Final = ("nondeterministic_output", "nondeterministic_output_order")
#: They tell of a node's memory, or of when a consumer was seen, and have no tip that says so.
ALSO_NONDETERMINISTIC: Final = "memory|usage xinfo|stream"

#: Their reply is a string, a number or nothing, whatever the arguments: no array, no status.
SCALAR_REPLIES: Final = (
    "get getrange substr getset getdel strlen append incr incrby incrbyfloat decr decrby setnx exists del unlink "
    "hget hlen hstrlen hincrby hincrbyfloat hexists hset hsetnx hdel llen lindex lpush rpush lpushx rpushx lrem "
    "linsert scard sismember sadd srem smove zcard zcount zrank zrevrank zrem zincrby getbit setbit bitcount ttl pttl "
    "expire pexpire expireat pexpireat persist xlen publish"
)

#: They wait for their first key, and move an element from there to their second.
ELEMENT_MOVERS: Final = "blmove brpoplpush"

#: They only take out of lists and sorted sets, or leave the elements as they are: nobody who waits need look.
TAKERS: Final = "lpop rpop lrem ltrim zpopmin zpopmax zrem expire pexpire expireat pexpireat persist xack"

#: What writes do to the expiry of their keys; one that is not named may set one. Names, what, and why it is no more.
EXPIRY_TRAITS: Final[tuple[tuple[str, int, str], ...]] = (
    ("set mset msetnx setnx getset del unlink getdel delifeq persist", EXPIRY_UNAFFECTED, "it is cleared"),
    ("hdel hgetdel hgetex hexpire hpexpire hexpireat hpexpireat hpersist", EXPIRY_UNAFFECTED, "no hash is created"),
    ("lpop rpop lpushx rpushx linsert lrem lset ltrim", EXPIRY_UNAFFECTED, "no list is created"),
    ("srem zrem zremrangebylex zremrangebyrank zremrangebyscore", EXPIRY_UNAFFECTED, "no set is created"),
    ("blpop brpop blmpop bzpopmax bzpopmin bzmpop xreadgroup", EXPIRY_UNAFFECTED, "no key is created"),
    ("zpopmax zpopmin zmpop lmpop", EXPIRY_UNAFFECTED, "no key is created"),
    ("xack xdel xtrim xsetid xgroup|createconsumer xgroup|delconsumer", EXPIRY_UNAFFECTED, "no stream is created"),
    ("xgroup|destroy xgroup|setid", EXPIRY_UNAFFECTED, "no stream is created"),
    ("sdiffstore sinterstore sunionstore zdiffstore zinterstore", EXPIRY_UNAFFECTED, "equal counts are equal results"),
    ("zrangestore geosearchstore georadius georadiusbymember", EXPIRY_UNAFFECTED, "equal counts are equal results"),
    ("flushall flushdb", EXPIRY_UNAFFECTED, "nothing is left"),
    ("script|load script|flush script|kill function|load function|delete", EXPIRY_UNAFFECTED, "no key is written"),
    ("function|flush function|restore function|kill", EXPIRY_UNAFFECTED, "no key is written"),
    ("slowlog|reset commandlog|reset memory|purge config|set config|rewrite", EXPIRY_UNAFFECTED, "no key is written"),
    ("config|resetstat save bgsave bgrewriteaof", EXPIRY_UNAFFECTED, "no key is written"),
    ("append decr decrby incr incrby incrbyfloat setbit setrange bitfield", EXPIRY_KEPT, "0 counts as none"),
    ("hset hmset hsetnx hincrby hincrbyfloat hsetex", EXPIRY_KEPT, "a new field is new with or without the others"),
    ("lpush rpush lmove rpoplpush blmove brpoplpush", EXPIRY_KEPT, "the reply is what is moved, not where"),
    ("sadd smove zadd zincrby geoadd pfadd", EXPIRY_KEPT, "a new member is new with or without the others"),
    ("xadd xgroup|create", EXPIRY_KEPT, "an id that is given says nothing of the entries before"),
    ("pfcount", EXPIRY_UNAFFECTED, "it rewrites what is there"),
    ("bitop pfmerge zunionstore sort", EXPIRY_OF_SOURCES, "results of equal length may differ"),
)

#: They change the protocol, the user or the database of what follows.
DRAIN_FIRST: Final = "select hello reset"

_SUBSCRIBE: Final = "subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe"
#: Names, what a session inside MULTI does with them (those that are not queued: Redis, ``processCommand``).
IN_MULTI: Final[tuple[tuple[str, int], ...]] = (
    ("multi exec discard", IN_MULTI_BOUNDARY),
    ("watch quit reset", IN_MULTI_AT_ONCE),
    ("select hello auth monitor " + _SUBSCRIBE + " " + PROXY_NAMES, IN_MULTI_REFUSED),
    ("unwatch ping echo time", IN_MULTI_BY_NODE),
)

#: What Redis serves to a RESP2 client with subscriptions.
RUN_IN_SUBSCRIBER_MODE: Final = _SUBSCRIBE + " ping quit reset"

#: What they subscribe to, publish to or count.
TOPIC_KINDS: Final[tuple[tuple[str, int], ...]] = (
    ("subscribe unsubscribe publish pubsub|numsub", CHANNEL),
    ("psubscribe punsubscribe", PATTERN),
    ("ssubscribe sunsubscribe spublish pubsub|shardnumsub", SHARD),
)

#: They carry another command, whose name is this argument.
NESTED_COMMANDS: Final[tuple[tuple[str, int], ...]] = (("proxy|each", 2), ("proxy|node", 3))

#: A read that may store the cardinality that it has computed (Redis, ``CMD_MAY_REPLICATE``).
MAY_REPLICATE: Final = "pfcount"

#: FLUSHDB of a large cache takes seconds.
LONG_RUNNING: Final = "flushdb flushall keys save memory|purge"

#: They change servers and no key, and it makes no difference what runs between one server and the next.
COMMUTING: Final = (
    "script|load config|rewrite config|resetstat bgsave bgrewriteaof slowlog|reset commandlog|reset memory|purge"
)

#: What they change is no key.
TOUCHES: Final[tuple[tuple[str, int], ...]] = (
    (COMMUTING + " config|set save script|flush", TOUCHES_SERVER),
    ("function|load function|delete function|flush function|restore", TOUCHES_LIBRARIES),
)

#: A node's own secrets, in its replies.
SECRETS: Final[tuple[tuple[str, int], ...]] = (
    ("config|get", SECRETS_OF_SETTINGS),
    ("slowlog|get commandlog|get", SECRETS_OF_LOGINS),
    ("module|list", SECRETS_OF_MODULES),
)

#: A node's users are its operator's business.
SHOW_NODE_USERS: Final = "acl|list acl|getuser acl|users acl|log acl|dryrun"

#: In a node's logs the arguments of these may hold secrets; some are not in the table.
SECRET_ARGUMENTS: Final = frozenset(b"auth hello migrate acl config sentinel".split())

#: Reaches of commands that are sent to nodes on connections that others share.
_SENT_TO_NODES: Final = (SINGLE_NODE, SPLIT_BY_NODE, ALL_NODES, ANY_NODE, SCAN_NODES)


def apply_traits(specs: dict[bytes, CommandSpec]) -> None:
    """Mark these specs, whose reach is known, by full name."""
    _apply_numbers(specs)
    for spec in specs.values():
        # XREAD is dedicated for its BLOCK alone.
        is_sent = spec.reach in _SENT_TO_NODES or (spec.reach == DEDICATED and spec.key_finder == STREAM_KEYS)
        spec.retryable = is_sent and (spec.flags & READONLY != 0 or spec.name.endswith(b"|help"))
        spec.is_nondeterministic = any(tip in NONDETERMINISTIC_TIPS for tip in spec.tips)
    for spec in _named(specs, ALSO_WRITE):
        spec.may_write = True
    for spec in _named(specs, ALSO_RETRYABLE):
        spec.retryable = True
    for spec in _named(specs, KEYSPACE):
        spec.covers_keyspace = True
    for spec in _named(specs, KEY_SCANS):
        spec.is_key_scan = True
    for spec in _named(specs, ALSO_NONDETERMINISTIC):
        spec.is_nondeterministic = True
    for spec in _named(specs, SCALAR_REPLIES):
        spec.gives_scalar = True
    for spec in _named(specs, ELEMENT_MOVERS):
        spec.moves_element = True
    for spec in _named(specs, TAKERS):
        spec.takes_only = True
    for spec in _named(specs, DRAIN_FIRST):
        spec.drains_first = True
    for spec in _named(specs, RUN_IN_SUBSCRIBER_MODE):
        spec.runs_in_subscriber_mode = True
    for spec in _named(specs, MAY_REPLICATE):
        spec.may_replicate = True
    for spec in _named(specs, LONG_RUNNING):
        spec.is_long_running = True
    for spec in _named(specs, COMMUTING):
        spec.commutes = True
    for spec in _named(specs, SHOW_NODE_USERS):
        spec.shows_node_users = True


def _named(specs: dict[bytes, CommandSpec], names: str) -> list[CommandSpec]:
    return [specs[name.encode()] for name in names.split()]


def _apply_numbers(specs: dict[bytes, CommandSpec]) -> None:
    for names, handler in HANDLERS:
        for spec in _named(specs, names):
            spec.handler = handler
    for names, finder in KEY_FINDERS:
        for spec in _named(specs, names):
            spec.key_finder = finder
    for names, position, units in TIMEOUT_ARGUMENTS:
        for spec in _named(specs, names):
            spec.timeout_position = position
            spec.timeout_units_per_second = units
    for names, leader_effect in LEADER_EFFECTS:
        for spec in _named(specs, names):
            spec.leader_effect = leader_effect
    for names, arg_dependence in ARG_DEPENDENT:
        for spec in _named(specs, names):
            spec.arg_dependence = arg_dependence
    for names, trait, _ in EXPIRY_TRAITS:
        for spec in _named(specs, names):
            spec.expiry_trait = trait
    for names, touches in TOUCHES:
        for spec in _named(specs, names):
            spec.touches = touches
    for names, piece in PROLOGUE_PIECES:
        for spec in _named(specs, names):
            spec.prologue_piece = piece
    for names, source in SCRIPT_SOURCES:
        for spec in _named(specs, names):
            spec.script_source = source
    for names, in_multi in IN_MULTI:
        for spec in _named(specs, names):
            spec.in_multi = in_multi
    for names, topic_kind in TOPIC_KINDS:
        for spec in _named(specs, names):
            spec.topic_kind = topic_kind
    for names, nested_at in NESTED_COMMANDS:
        for spec in _named(specs, names):
            spec.nested_at = nested_at
    for names, secrets in SECRETS:
        for spec in _named(specs, names):
            spec.secrets = secrets
