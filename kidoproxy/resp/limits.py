"""Limits and deadlines: Redis's own defaults, unless a comment says why not."""

from typing import Final

from mypy_extensions import i64

#: ``PROTO_INLINE_MAX_SIZE`` of Redis: an inline command, or a header line whose end has not come.
MAX_INLINE_BYTES: Final[i64] = 64 * 1024
#: Arguments of one request: what Redis accepts from an authenticated client (INT_MAX since 7.0).
MAX_ARGUMENTS: Final[i64] = 2_147_483_647
#: ``proto-max-bulk-len``.
MAX_BULK_BYTES: Final[i64] = 512 * 1024 * 1024
#: ``client-query-buffer-limit``: bytes of one request that is not complete.
MAX_QUERY_BUFFER_BYTES: Final[i64] = 1024 * 1024 * 1024
#: What a client may announce before AUTH, as in Redis.
MAX_UNAUTHENTICATED_ARGUMENTS: Final[i64] = 10
MAX_UNAUTHENTICATED_BULK_BYTES: Final[i64] = 16 * 1024

#: ``maxclients``.
MAX_CLIENTS: Final[int] = 10_000
#: Unread replies beyond this disconnect a client. Redis has no such limit for normal clients, but it is not shared by
#: the clients of several servers.
CLIENT_OUTPUT_BYTES: Final[int] = 1024 * 1024 * 1024
#: The same for a client that has subscribed or monitors (the hard limit of Redis's class ``pubsub``).
PUBSUB_OUTPUT_BYTES: Final[int] = 32 * 1024 * 1024
#: With so many bytes of unread replies a client that does read is not read from. One that has read nothing for the
#: grace time may be writing all its requests first: it is read from again, up to its output limit.
READ_STOP_BYTES: Final[int] = 1024 * 1024
READ_STOP_GRACE_SECONDS: Final[float] = 0.1
#: A client's next request waits while so many are open, or while so many bytes of requests are in flight.
MAX_OPEN_REQUESTS: Final[int] = 16_384
CLIENT_IN_FLIGHT_BYTES: Final[int] = 64 * 1024 * 1024
#: One slice of work has so many units, of one or two microseconds each when compiled. A request is a unit, and so is
#: each key of a large one, `BYTES_PER_UNIT` of a reply built here, and `WORDS_PER_UNIT` arguments that are inspected.
SLICE_UNITS: Final[int] = 4096
BYTES_PER_UNIT: Final[int] = 128
WORDS_PER_UNIT: Final[int] = 8
#: Clients that are described or closed in one slice.
CLIENTS_PER_SLICE: Final[int] = 512
#: Names that are subscribed to in one slice: each costs several times what a key does.
NAMES_PER_SLICE: Final[int] = 512
#: The slice of a client in a turn of the loop in which others have used up a whole slice.
SMALL_SLICE_UNITS: Final[int] = 256
#: A turn of the loop begins no further slice of queued work after so many seconds.
TURN_BUDGET_SECONDS: Final[float] = 0.004
#: In-flight bytes are marked each time that so many more have come.
IN_FLIGHT_MARK_BYTES: Final[i64] = 16 * 1024
#: What a queued request, one of its arguments, and a subscribed name or watched key cost beside their bytes.
REQUEST_OVERHEAD_BYTES: Final[int] = 256
ARGUMENT_OVERHEAD_BYTES: Final[int] = 64
NAME_OVERHEAD_BYTES: Final[int] = 1024
#: A connection refuses further requests with OVERLOADED beyond these.
CONNECTION_QUEUE_BYTES: Final[int] = 1024 * 1024 * 1024
CONNECTION_QUEUE_REPLIES: Final[int] = 200_000

#: Dedicated connections of one node: each client that blocks or watches has one.
DEDICATED_PER_NODE: Final[int] = 4_000
#: Dedicated connections of one node that are being opened at a time.
DEDICATED_CONNECTING_PER_NODE: Final[int] = 32
#: Idle dedicated connections kept for reuse: so many for each node, so long after the last was released.
IDLE_DEDICATED_PER_NODE: Final[int] = 64
IDLE_DEDICATED_SECONDS: Final[float] = 10.0

#: Seconds that a command may take before its client gets TIMEOUT; far below redis-py's 5 s.
COMMAND_SECONDS: Final[float] = 0.5
#: A connection on which nothing has arrived for so long sends a PING.
PROBE_AFTER_SECONDS: Final[float] = 1.0
#: Seconds for connecting and for the handshake together.
CONNECT_SECONDS: Final[float] = 1.0
#: Seconds for a node that has lost its scripts to load all of them.
WARMUP_SECONDS: Final[float] = 1.0
#: The back-off before a reconnect, doubling, with jitter.
BACKOFF_MIN_SECONDS: Final[float] = 0.05
BACKOFF_MAX_SECONDS: Final[float] = 1.0
#: After a connection that lived so long, or brought so many replies, the first reconnect is made at once.
STABLE_SECONDS: Final[float] = 1.0
STABLE_REPLIES: Final[int] = 16
#: The name of a node that has changed its role (READONLY) is resolved again at most this often.
RERESOLVE_SECONDS: Final[float] = 1.0
#: A suspect node is probed this often, with at most so many probes open.
UNRESPONSIVE_PROBE_SECONDS: Final[float] = 0.2
MAX_OPEN_PROBES: Final[int] = 8
#: The slowest network for which a deadline is extended while a large payload or reply makes progress.
MIN_BYTES_PER_SECOND: Final[float] = 100_000.0
#: A large reply that has to be held (a part of a split command, or out of turn) is waited for so long.
HELD_REPLY_SECONDS: Final[float] = 30.0
#: A reply that is cut through may be so large, and take so long.
MAX_CUT_THROUGH_BYTES: Final[int] = 8 * 1024 * 1024 * 1024
MAX_CUT_THROUGH_SECONDS: Final[float] = 600.0
#: A reply of at least this size is cut through: its pieces leave before its end has come.
MIN_CUT_THROUGH_BYTES: Final[int] = 32 * 1024
#: A client that has hung up or said QUIT, and reads none of its replies for so long, is disconnected.
UNREAD_CLOSE_SECONDS: Final[float] = 10.0
#: While the proxy drains, a client has so long to close its side behind ours.
DRAIN_LINGER_SECONDS: Final[float] = 1.0
#: A client that has said nothing for so long is idle then; one that has is closed behind its next reply.
DRAIN_QUIET_MS: Final[int] = 250
#: After so long, nobody is waited for who has no reply to come.
DRAIN_HURRY_SECONDS: Final[float] = 1.0
#: Databases that SELECT accepts, as a stock redis.conf has it.
DATABASE_COUNT: Final[int] = 16
#: Seconds that the acknowledgements of a copy pool wait until the state of its copies is on disk.
RECORD_DURABLE_SECONDS: Final[float] = 5.0
#: Times and keys are sampled so often at most, on each connection and in each pool.
SAMPLE_SECONDS: Final[float] = 0.01
#: The sketch of hot keys: how many it has, and how many samples come before what is old counts half.
SKETCHED_KEYS: Final[int] = 64
SKETCHED_SAMPLES: Final[int] = 20_000
#: A longer key (or request) is not looked at; of the others so much is shown.
MAX_SAMPLED_KEY_BYTES: Final[int] = 4096
SHOWN_KEY_BYTES: Final[int] = 256
#: A request or a reply of this size makes its key a big one.
BIG_KEY_BYTES: Final[int] = 1024 * 1024
#: The slow log: how many requests it has, and of each how many words of how many bytes.
SLOW_LOG_LENGTH: Final[int] = 128
SLOW_LOG_WORDS: Final[int] = 8
SLOW_LOG_WORD_BYTES: Final[int] = 64
