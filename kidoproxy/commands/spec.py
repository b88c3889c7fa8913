"""What a command is: one `CommandSpec` each, and the constants that say what the proxy does with it.

A spec is made at import from the generated table; the overlay adds what no server can know (whom the command
reaches here, how several replies become one, what copies do). After that nothing changes it: all sessions share it.

Each enumeration is a group of constants, which mypyc folds into the code, and an alias for annotations.
"""

from typing import Final, final

from kidoproxy.commands.families import family_number
from kidoproxy.commands.handler_ids import NO_HANDLER, HandlerId

#: Whom a command is for.
Reach = int
SESSION: Final = 0  # changes or needs the state of the client's connection: the session answers
LOCAL: Final = 1  # the proxy answers, no node is asked
SINGLE_NODE: Final = 2  # its keys meet on one node; without keys any node will do
SPLIT_BY_NODE: Final = 3  # cut into one request per node
ALL_NODES: Final = 4  # all nodes, merged
ANY_NODE: Final = 5  # any one live node
SCAN_NODES: Final = 6  # SCAN itself: one node after another
DEDICATED: Final = 7  # needs a dedicated connection (XREAD and XREADGROUP only if `request_traits.may_block` says so)
REFUSED: Final = 8  # never served
CHANNEL_NODE: Final = 9  # the node on which the channel named first lives
SUBSCRIBE: Final = 10  # begins or ends a subscription, which the pool keeps at the nodes for its sessions

#: How several replies become one: see `kidoproxy.replies.merge`.
ResponsePolicy = int
PASS_THROUGH: Final = 0  # there is only one
ALL_EQUAL: Final = 1  # all should be equal
ALL_SUCCEEDED: Final = 2  # +OK when all said so
AGG_SUM: Final = 3  # the sum
AGG_MIN: Final = 4  # the smallest integer
AGG_MAX: Final = 5  # the greatest integer
AGG_LOGICAL_AND: Final = 6  # arrays of 0 and 1, element by element
CONCAT: Final = 7  # arrays, sets or maps joined
IN_KEY_ORDER: Final = 8  # arrays woven back by the positions of their keys
WEIGHTED_CHOICE: Final = 9  # one of what they offer, by how much there is behind each
MERGE_INFO: Final = 10  # the text of INFO
ONE_SUCCEEDED: Final = 11  # it worked somewhere: the first that is no error
MERGE_STREAMS: Final = 12  # what XREAD gives of several streams, in the order of the request
UNION: Final = 13  # arrays joined, what several name stands once
SUM_BY_NAME: Final = 14  # arrays of name, number, name, number ...: each name's numbers summed
COUNT_COPIES: Final = 15  # how many copies have answered, but for the one that leads

#: What a copy pool does with a command.
Replication = int
COPY_READ: Final = 0  # ask the leader
COPY_BROADCAST: Final = 1  # broadcast as it is: every copy comes to the same result
COPY_ABSOLUTE_EXPIRY: Final = 2  # broadcast, relative expiry made absolute
COPY_REFUSED: Final = 3  # chance, time or a node's internals decide: copies would differ
COPY_ACK_COUNT: Final = 4  # asks how many copies have it: the proxy itself knows
COPY_PUBSUB_NODE: Final = 5  # nothing is kept: the one copy that the proxy is subscribed to
COPY_WAIT: Final = 6  # waits in the proxy; broadcast what does not wait, until it finds something
COPY_LEADER: Final = 7  # the leader decides alone, then the others are told what has come of it
COPY_STREAM_WRITE: Final = 8  # broadcast; ids that the copies' clocks would make are given, and trimming is exact

#: What the other copies are told of a command that their leader has decided.
LeaderEffect = int
EFFECT_STATE: Final = 0  # the values of its keys as they are now
EFFECT_REMOVED_MEMBERS: Final = 1  # the members that were popped
EFFECT_CLAIMED_ENTRIES: Final = 2  # the entries of a stream that were claimed, and when

#: How keys are found where the key specifications alone are not exact.
KeyFinder = int
BY_SPECS: Final = 0
SORT_KEYS: Final = 1
STREAM_KEYS: Final = 2
GEORADIUS_KEYS: Final = 3
MIGRATE_KEYS: Final = 4

#: Which arguments decide what copies do.
ArgDependence = int
ARG_INDEPENDENT: Final = 0
TTL_OPTIONS: Final = 1  # a relative expiry, or none
READ_OR_TTL: Final = 2  # the same; no option at all makes it a read
RESTORE_TTL: Final = 3
BITFIELD_SUBCOMMANDS: Final = 4
STORE_OR_READ: Final = 5  # a second key, or it is a read
SEVERAL_KEYS_READ: Final = 6  # several keys make it a read
SORT_BY_STORE: Final = 7
XREADGROUP_CLAIM: Final = 8

#: What a write does to the expiry of its keys: see `kidoproxy.commands.expiry_effect`.
ExpiryTrait = int
EXPIRY_SET: Final = 0  # it may set one, or give its keys that of another key
EXPIRY_UNAFFECTED: Final = 1  # it sets none, and what it creates does not depend on whether a key has expired
EXPIRY_KEPT: Final = 2  # it keeps that of a key which exists; one that has expired it makes anew, without
EXPIRY_OF_SOURCES: Final = 3  # what it stores depends on several keys, each of which may have expired

#: What a write changes, beside the sender's own session.
Touches = int
TOUCHES_KEYS: Final = 0
TOUCHES_LIBRARIES: Final = 1  # no key, but what later calls of functions do
TOUCHES_SERVER: Final = 2  # no key: each server answers for itself, and equal copies may answer differently

#: What the first argument of a command that runs a script is.
ScriptSource = int
SCRIPT_NONE: Final = 0
SCRIPT_TEXT: Final = 1
SCRIPT_DIGEST: Final = 2
SCRIPT_FUNCTION: Final = 3  # the name of a function of a library

#: What a session inside MULTI does with a command.
InMulti = int
IN_MULTI_QUEUED: Final = 0
IN_MULTI_BOUNDARY: Final = 1  # MULTI, EXEC and DISCARD begin and end the transaction
IN_MULTI_AT_ONCE: Final = 2  # WATCH, QUIT and RESET are no part of it: they run or are refused at once
IN_MULTI_REFUSED: Final = 3  # servers queue it, the proxy cannot
IN_MULTI_BY_NODE: Final = 4  # queued; with watched keys the node answers in the proxy's place: its reply is the same

#: Which of a node's own secrets the reply may hold: see `kidoproxy.session.redact`.
Secrets = int
SECRETS_NONE: Final = 0
SECRETS_OF_SETTINGS: Final = 1  # CONFIG GET: passwords
SECRETS_OF_LOGINS: Final = 2  # the slow logs: arguments of AUTH
SECRETS_OF_MODULES: Final = 3  # MODULE LIST: arguments

#: What is subscribed to, published to or counted.
TopicKind = int
TOPIC_NONE: Final = -1
CHANNEL: Final = 0
PATTERN: Final = 1
SHARD: Final = 2

# Flags of the COMMAND answer, as a bitmask.
WRITE: Final = 1 << 0
READONLY: Final = 1 << 1
BLOCKING: Final = 1 << 2
DENYOOM: Final = 1 << 3
ADMIN: Final = 1 << 4
PUBSUB: Final = 1 << 5
NOSCRIPT: Final = 1 << 6
LOADING: Final = 1 << 7
STALE: Final = 1 << 8
FAST: Final = 1 << 9
MOVABLE_KEYS: Final = 1 << 10
NO_MULTI: Final = 1 << 11
NO_AUTH: Final = 1 << 12
ALLOW_BUSY: Final = 1 << 13
ASKING: Final = 1 << 14
NO_ASYNC_LOADING: Final = 1 << 15
NO_MANDATORY_KEYS: Final = 1 << 16
SKIP_MONITOR: Final = 1 << 17
SKIP_SLOWLOG: Final = 1 << 18

FLAG_BITS: Final[dict[str, int]] = {
    "write": WRITE,
    "readonly": READONLY,
    "blocking": BLOCKING,
    "denyoom": DENYOOM,
    "admin": ADMIN,
    "pubsub": PUBSUB,
    "noscript": NOSCRIPT,
    "loading": LOADING,
    "stale": STALE,
    "fast": FAST,
    "movablekeys": MOVABLE_KEYS,
    "no_multi": NO_MULTI,
    "no_auth": NO_AUTH,
    "allow_busy": ALLOW_BUSY,
    "asking": ASKING,
    "no_async_loading": NO_ASYNC_LOADING,
    "no_mandatory_keys": NO_MANDATORY_KEYS,
    "skip_monitor": SKIP_MONITOR,
    "skip_slowlog": SKIP_SLOWLOG,
}

#: How a key specification finds where the keys begin, and how it goes on from there.
BeginKind = int
BEGIN_INDEX: Final = 0
BEGIN_KEYWORD: Final = 1
FindKind = int
FIND_RANGE: Final = 0
FIND_KEYNUM: Final = 1
#: Either, where the server does not say.
SEARCH_UNKNOWN: Final = 2

#: A key specification in the table: flags, how it begins, keyword, position, how it goes on, three numbers, notes.
KeyRow = tuple[str, BeginKind, str, int, FindKind, int, int, int, str]
#: A command: name, arity, flags, first, last, step, categories, tips, key specifications, group, since, summary.
Row = tuple[str, int, str, int, int, int, str, str, tuple[KeyRow, ...], str, str, str]


@final
class KeySpec:
    """One rule that finds keys in a request, as Redis 7 describes it.

    ``begin_kind`` says where to start: at ``begin_position``, or behind the word ``keyword`` (searched from
    ``begin_position``, backwards when that is negative). ``find_kind`` says how to go on: RANGE has last key, step
    and limit in ``find_args``; KEYNUM has where the count is, where the first key is, and the step.
    """

    def __init__(self, row: KeyRow) -> None:
        flags, begin, keyword, position, find, a, b, c, notes = row
        self.flags: tuple[str, ...] = tuple(flags.split())
        self.begin_kind: BeginKind = begin
        self.keyword: bytes = keyword.encode().lower()
        self.begin_position: int = position
        self.find_kind: FindKind = find
        self.find_args: tuple[int, int, int] = (a, b, c)
        self.notes: str = notes
        self.is_key: bool = "not_key" not in self.flags

    def is_first_argument(self) -> bool:
        """Whether it finds ``argv[1]`` and nothing else."""
        starts_at_first = self.is_key and self.begin_kind == BEGIN_INDEX and self.begin_position == 1
        return starts_at_first and self.find_kind == FIND_RANGE and self.find_args[0] == 0

    def __repr__(self) -> str:
        start = self.keyword.decode() if self.begin_kind == BEGIN_KEYWORD else str(self.begin_position)
        return f"<keys from {start}: {self.find_args}>"


@final
class CommandSpec:
    """Everything about one command or subcommand. Names are lower case, a subcommand's has its bar: ``config|get``.

    ``reason`` says why a REFUSED or DEDICATED command, or one that is ``denied_by_default``, is not served; a pool's
    ``allow`` opens the last kind. Unless ``arg_dependence`` is 0, ``replication`` is the most careful case: ask
    `request_traits.replication_class`. ``subcommands`` is None unless it is a container.
    """

    def __init__(self, row: Row) -> None:
        name, arity, flags, first, last, step, categories, tips, keys, group, since, summary = row
        self.name: bytes = name.encode()
        self.arity: int = arity
        self.flag_names: tuple[str, ...] = tuple(flags.split())
        self.flags: int = flag_bits(self.flag_names)
        self.categories: tuple[str, ...] = tuple(categories.split())
        self.tips: tuple[str, ...] = tuple(tips.split())
        self.first_key: int = first
        self.last_key: int = last
        self.key_step: int = step
        self.key_specs: tuple[KeySpec, ...] = tuple([KeySpec(key) for key in keys])
        self.group: str = group
        self.family: int = family_number(group)
        self.since: str = since
        self.summary: str = summary
        self.subcommands: dict[bytes, CommandSpec] | None = None
        # What the overlay says; a command that it does not name is never served.
        self.reach: Reach = REFUSED
        self.response_policy: ResponsePolicy = PASS_THROUGH
        self.replication: Replication = COPY_REFUSED
        self.leader_effect: LeaderEffect = EFFECT_STATE
        self.arg_dependence: ArgDependence = ARG_INDEPENDENT
        self.key_finder: KeyFinder = BY_SPECS
        self.expiry_trait: ExpiryTrait = EXPIRY_SET
        self.touches: Touches = TOUCHES_KEYS
        #: Where its own time-out stands, from the end if negative, and its units in a second; 0: none, or an option.
        self.timeout_position: int = 0
        self.timeout_units_per_second: int = 1
        self.denied_by_default: bool = False
        self.reason: str = "not reviewed"
        self.replication_reason: str = "not reviewed"
        self.may_write: bool = self.flags & WRITE != 0
        self.retryable: bool = False  # it changes nothing: it may be asked again
        #: Its one key is ``argv[1]``, and nothing else is to be looked at: the fast path.
        self.single_key: bool = False
        #: EVAL, FCALL, SCRIPT and FUNCTION: the pool's script registry may have to learn from them.
        self.is_scripting: bool = group == "scripting"
        self.script_source: ScriptSource = SCRIPT_NONE
        self.prologue_piece: str = ""  # what makes it the same on every copy, in a script
        self.covers_keyspace: bool = False
        self.is_key_scan: bool = False
        self.moves_element: bool = False  # from its first key to its second
        self.takes_only: bool = False  # nobody finds an element behind it that was not there before
        self.is_nondeterministic: bool = False  # equal nodes may answer it differently
        self.gives_scalar: bool = False  # its reply is a string, a number or nothing
        #: It changes what later requests mean to the nodes: it waits until no reply of its session is open.
        self.drains_first: bool = False
        #: What of the session is for it; see `handler_ids`.
        self.handler: HandlerId = NO_HANDLER
        self.in_multi: InMulti = IN_MULTI_QUEUED
        self.runs_in_subscriber_mode: bool = False  # a client with subscriptions may send it in RESP2
        self.topic_kind: TopicKind = TOPIC_NONE
        self.nested_at: int = 0  # where the name of the command stands that it carries, if it carries one
        #: A read that CLIENT PAUSE WRITE holds as Redis does: it may store what it has computed.
        self.may_replicate: bool = False
        self.is_long_running: bool = False  # its work grows with all the data of a node
        self.commutes: bool = False  # copies may run it at different points of their order
        self.secrets: Secrets = SECRETS_NONE
        self.shows_node_users: bool = False  # a node's answer would show that node's users

    def accepts(self, count: int) -> bool:
        """Whether a request of ``count`` arguments, the name included, has as many as the command takes."""
        if self.arity > 0:
            return count == self.arity
        # The keys of MSET and MSETNX come in pairs with their values, which arity alone cannot say.
        return count >= -self.arity and (self.key_step != 2 or count % 2 == 1)

    def finalize(self) -> None:
        """Work out what follows from the rest; called once, after the overlay."""
        self.single_key = (
            self.reach == SINGLE_NODE
            and not self.denied_by_default
            and self.subcommands is None
            and self.key_finder == BY_SPECS
            and self.flags & (MOVABLE_KEYS | BLOCKING) == 0
            and len(self.key_specs) == 1
            and self.key_specs[0].is_first_argument()
        )

    def __repr__(self) -> str:
        return f"<{self.name.decode()} {self.arity} {','.join(self.flag_names)}>"


def flag_bits(names: tuple[str, ...]) -> int:
    """The bitmask of these flags; a flag of a newer server that we do not know counts for nothing."""
    bits = 0
    for name in names:
        bits |= FLAG_BITS.get(name, 0)
    return bits
