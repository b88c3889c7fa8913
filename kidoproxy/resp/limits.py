"""How much of anything we accept. The only magic numbers; Redis's own defaults unless a line says why not."""

from typing import Final

from mypy_extensions import i64

#: ``PROTO_INLINE_MAX_SIZE`` of Redis: an inline command or a header line without an end.
MAX_INLINE_BYTES: Final[i64] = 64 * 1024
#: Most arguments of one request: what Redis accepts from an authenticated client (INT_MAX since 7.0).
MAX_ARGUMENTS: Final[i64] = 2_147_483_647
#: ``proto-max-bulk-len``.
MAX_BULK_BYTES: Final[i64] = 512 * 1024 * 1024
#: ``client-query-buffer-limit``: bytes of one request that is not complete yet.
MAX_QUERY_BUFFER_BYTES: Final[i64] = 1024 * 1024 * 1024
#: What a client may claim before it has said AUTH, as Redis has it.
MAX_UNAUTHENTICATED_ARGUMENTS: Final[i64] = 10
MAX_UNAUTHENTICATED_BULK_BYTES: Final[i64] = 16 * 1024

#: ``maxclients``.
MAX_CLIENTS: Final[int] = 10_000
#: A client whose unread replies exceed this is cut (Redis: no limit for normal clients; we have neighbours).
CLIENT_OUTPUT_BYTES: Final[int] = 1024 * 1024 * 1024
#: The same for one that has subscribed or monitors (the hard limit of Redis's class ``pubsub``).
PUBSUB_OUTPUT_BYTES: Final[int] = 32 * 1024 * 1024
#: A client that has this many bytes of replies unread, and reads, is not read from meanwhile. One that reads nothing
#: for so long may be writing all that it has to write first: it is read on, up to its output limit.
CLIENT_PAUSE_BYTES: Final[int] = 1024 * 1024
CLIENT_PAUSE_GRACE_SECONDS: Final[float] = 0.1
#: A client's next request waits while so many of its calls are open, or requests of so many bytes under way.
CLIENT_PAUSE_REQUESTS: Final[int] = 16_384
#: One slice of work: so many units, of a microsecond or two each when compiled. A request is one, so is a key of a
#: large one; so are so many bytes of an answer that is made here, and so many words of a request that is looked at.
SLICE_UNITS: Final[int] = 4096
BYTES_PER_UNIT: Final[int] = 128
WORDS_PER_UNIT: Final[int] = 8
#: Clients that are described or closed at one go.
CLIENTS_PER_SLICE: Final[int] = 512
#: Names that one request subscribes to at one go: each costs several times what a key does.
NAMES_PER_SLICE: Final[int] = 512
#: The slice of a client in a turn in which others have used up a whole one.
SMALL_SLICE_UNITS: Final[int] = 256
#: A turn of the loop begins no further slice of what waits in line after so many seconds.
TURN_BUDGET_SECONDS: Final[float] = 0.004
CLIENT_IN_FLIGHT_BYTES: Final[int] = 64 * 1024 * 1024
#: Bytes under way are noted each time that so many more have come.
IN_FLIGHT_MARK_BYTES: Final[i64] = 16 * 1024
#: What a queued request, an argument, a name that is subscribed to or a watched key costs beside its own bytes.
REQUEST_OVERHEAD_BYTES: Final[int] = 256
ARGUMENT_OVERHEAD_BYTES: Final[int] = 64
NAME_OVERHEAD_BYTES: Final[int] = 1024
#: A node's link refuses more with OVERLOADED beyond these.
CONNECTION_QUEUE_BYTES: Final[int] = 1024 * 1024 * 1024
CONNECTION_QUEUE_REPLIES: Final[int] = 200_000

#: Lanes that sessions may have at a node at a time: each client that blocks or watches has one.
DEDICATED_PER_NODE: Final[int] = 4_000
#: So many of them are being opened at a node at a time.
DEDICATED_CONNECTING_PER_NODE: Final[int] = 32
#: Lanes that came back are kept for the next one who asks: so many for each node, so long after the last came.
IDLE_DEDICATED_PER_NODE: Final[int] = 64
IDLE_DEDICATED_SECONDS: Final[float] = 10.0

#: Seconds a command may take before its client gets TIMEOUT; far below redis-py's 5 s.
COMMAND_SECONDS: Final[float] = 0.5
#: A link that has heard nothing for this long asks for a sign of life.
PROBE_AFTER_SECONDS: Final[float] = 1.0
#: Seconds for TCP connect and greeting together.
CONNECT_SECONDS: Final[float] = 1.0
#: Seconds for a node to take everything that was loaded, when it has lost it.
WARMUP_SECONDS: Final[float] = 1.0
#: Reconnects wait between these, doubling, with jitter.
BACKOFF_MIN_SECONDS: Final[float] = 0.05
BACKOFF_MAX_SECONDS: Final[float] = 1.0
#: A connection that lived this long, or answered so much, was of use: after it the first attempt is made at once.
STABLE_SECONDS: Final[float] = 1.0
STABLE_REPLIES: Final[int] = 16
#: A node that is not what its name stands for any more (READONLY) is looked up again at most this often.
RERESOLVE_SECONDS: Final[float] = 1.0
#: A suspect node is asked this often, with so many questions open at most.
UNRESPONSIVE_PROBE_SECONDS: Final[float] = 0.2
MAX_OPEN_PROBES: Final[int] = 8
#: What a network must carry at least, so that a large payload or reply is waited for while it moves.
MIN_BYTES_PER_SECOND: Final[float] = 100_000.0
#: A reply that nobody can be given yet (a part of a split command, or out of turn) is waited for so long.
HELD_REPLY_SECONDS: Final[float] = 30.0
#: One that leaves while it comes may be so large, and take so long.
MAX_CUT_THROUGH_BYTES: Final[int] = 8 * 1024 * 1024 * 1024
MAX_CUT_THROUGH_SECONDS: Final[float] = 600.0
#: Replies of at least this size are cut through to the client whose turn it is.
MIN_CUT_THROUGH_BYTES: Final[int] = 32 * 1024
#: A client that has hung up, or said QUIT, and reads nothing of what it is owed for so long is cut.
UNREAD_CLOSE_SECONDS: Final[float] = 10.0
#: Databases that SELECT accepts, as in a stock redis.conf.
DATABASE_COUNT: Final[int] = 16
#: Seconds that the acknowledgements of a copy pool wait for the disk to take the record of who is behind.
RECORD_DURABLE_SECONDS: Final[float] = 5.0
