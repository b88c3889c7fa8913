"""The layers of the house, and who tests a file that has no test file of its own: data of ``test_architecture.py``."""

from typing import Final

PACKAGE: Final = "kidoproxy"

#: Lowest first; the longest prefix of a module's name says where it lies. A module may import its own layer
#: and those below.
LAYERS: Final = (
    ("resp",),
    ("commands", "config", "net.logs", "net.tasks"),
    ("replies",),
    (
        "scripts",
        "upstream.master_view",
        "upstream.health",
        "upstream.key_samples",
        "upstream.slow_log",
        "upstream.traffic",
        "replication.noted_keys",
        "replication.owner_marks",
        "replication.ownership",
        "replication.missed_keys",
        "replication.sync_progress",
        "replication.scrub_record",
        "replication.durability",
        "replication.key_turns",
        "replication.repair_waits",
        "replication.waiters",
        "replication.expiry_memo",
    ),
    ("routes.placement",),
    ("routes", "replication.copy", "replication.group"),
    (
        "upstream",
        "replication.expiry_check",
        "replication.claims",
        "replication.ack_count",
        "replication.held_plan",
        "replication.key_state",
        "replication.leader_effects",
        "replication.shared_decision",
        "replication.leader_first",
        "replication.parse_replies",
        "replication.read_failover",
        "replication.durable_reply",
        "replication.write",
        "scripts.evalsha",
        "scripts.library_peers",
        "scripts.warmup_connection",
    ),
    ("session.pubsub",),
    ("session",),
    ("replication",),
    ("admin",),
    ("net",),
    ("admin.cli",),
    ("__main__",),
)
LAYER: Final = {name: number for number, names in enumerate(LAYERS) for name in names}

#: The configuration is plain data from a file; these alone may read it: who builds, listens or shows.
CONFIG_READERS: Final = ("routes.build", "admin", "net")

#: What a pure room must not import: the clock and all that waits, chance, the log, the outside world.
WORLDLY: Final = frozenset(
    """
    asyncio datetime logging multiprocessing os random secrets select selectors signal socket ssl subprocess
    threading time click prometheus_client pydantic redis uvloop
    """.split()  # noqa: SIM905
)
#: The only outsiders that the Django backends may import.
DJANGO_MAY: Final = ("asgiref", "django", "redis")

FILE_LINES: Final = 400
FUNCTION_LINES: Final = 60
TABLES: Final = (f"{PACKAGE}/commands/table.py",)  # generated data: as long as what it describes

#: Source files without a test file of the same name, and who tests them instead.
TESTED_ELSEWHERE: Final = {
    "kidoproxy/resp/request_scanner.py": "tests/resp/test_request_reader.py: the scanner runs inside the reader",
    "kidoproxy/commands/table.py": "generated; tests/commands/test_generate.py proves that it is what the facts say",
    "kidoproxy/routes/placement/word_hashes.py": "tests/routes/placement/test_hashes.py: all key hashes",
    "kidoproxy/upstream/nonblocking.py": "tests/session/test_hanging_up.py: clients that hang up while they wait",
    "kidoproxy/upstream/unblock_order.py": "tests/session/test_hanging_up.py: what must come after an unblocking",
    "kidoproxy/upstream/out_of_band.py": "tests/session/handlers/test_scripts.py: SCRIPT KILL",
    "kidoproxy/replication/durable_reply.py": "tests/replication/test_durability.py: acknowledgements that wait",
    "kidoproxy/upstream/top_keys.py": "tests/session/handlers/test_proxy_traffic.py: PROXY HOTKEYS and BIGKEYS",
    "kidoproxy/replication/copy.py": "tests/replication/test_group.py: the copies of a group, and their order",
    "kidoproxy/replication/copy_log.py": "tests/replication/test_supervisor.py: the supervisor in several files",
    "kidoproxy/replication/sync_pass.py": "tests/replication/test_sync.py: the sync in several files",
    "kidoproxy/replication/sync_state.py": "tests/replication/test_sync.py: the sync in several files",
    "kidoproxy/upstream/transaction.py": "tests/session/handlers/test_exec_transaction.py: what a client sees of them",
    "kidoproxy/session/base.py": "tests/session/test_session.py: what handlers may do with a session",
    "kidoproxy/session/cleanup.py": "tests/session/handlers/test_blocking.py: each end of a session",
    "kidoproxy/session/multi_state.py": "tests/session/handlers/test_exec_transaction.py: what MULTI has queued",
    "kidoproxy/session/pool_context.py": "tests/session/test_proxy_state.py: a pool as its sessions see it",
    "kidoproxy/session/refusal.py": "tests/session/test_session.py: what a session refuses",
    "kidoproxy/session/state.py": "tests/session/test_session.py: the fields of a session",
    "kidoproxy/session/watches.py": "tests/session/handlers/test_watch.py: what a WATCH holds",
    "kidoproxy/session/handlers/client_kill.py": "tests/session/handlers/test_client.py: all of CLIENT",
    "kidoproxy/session/handlers/multi.py": "tests/session/test_transactions.py: MULTI to EXEC",
}
