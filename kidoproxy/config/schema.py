"""The configuration file as it is written: one table per class, one sentence per key, all defaults.

With the table of TLS (`schema_tls`) this is the only place that knows a key's default and bounds. The README's
table, ``kidoproxy config`` and the checks are made from it. ``only`` marks what belongs to one mode, ``listens`` what
belongs to a pool that clients can reach, ``later`` values whose meaning is settled but which are not served yet.
"""

from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from kidoproxy.config.processors import MOST_WORKERS, usable_processors
from kidoproxy.config.schema_base import StringList, Table
from kidoproxy.config.schema_tls import TlsTable
from kidoproxy.resp import limits

MIB: Final = 1024 * 1024


#: Sets of prefixes for ``together`` whose libraries are queues: their workers must outlive a node's restart.
QUEUE_SETS: Final = (
    "@celery",
    "@rq",
    "@dramatiq",
    "@huey",
    "@bullmq",
    "@beequeue",
    "@resque",
    "@sidekiq",
    "@laravel",
    "@arq",
    "@saq",
    "@streaq",
)
#: All names of `kidoproxy.routes.placement.tags.NAMED_SETS`; a test compares them. The routes read us, not we them.
TOGETHER_SETS: Final = (
    *QUEUE_SETS,
    "@channels_redis",
    "@limits",
    "@litestar",
    "@python_redis_lock",
    "@bottleneck",
    "@throttled",
    "@self_limiters",
)

#: Behind those that are offered stand the other hashes of nutcracker, all but md5, which is "ketama" here.
Hash = Literal[
    "ketama", "fnv1a_64", "hash_ring", "django_redis_shard",
    "fnv1_64", "fnv1a_32", "fnv1_32", "crc16", "crc32", "crc32a", "murmur", "one_at_a_time", "jenkins", "hsieh",
]  # fmt: skip
#: "auto" is a number, too: that of the start, for a reload cannot change it.
NumberOrWord = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]

_processors_at_start = cache(usable_processors)
Workers = Annotated[int, BeforeValidator(lambda value: _processors_at_start() if value == "auto" else value)]


class ProxyTable(Table):
    """The process itself."""

    workers: Workers = Field(
        1,
        ge=1,
        le=MOST_WORKERS,
        description="Worker processes that share the listening addresses. "
        '"auto" is one for each processor that this process may use.',
    )
    state_dir: str | None = Field(
        None,
        description="Remembers which copies are behind, across restarts. Default: $STATE_DIRECTORY, else "
        '$XDG_STATE_HOME/kidoproxy, else ~/.local/state/kidoproxy; "" keeps nothing.',
        examples=["/var/lib/kidoproxy"],
    )
    admin: str | None = Field(
        None,
        description="HTTP listener for the status page, /livez, /readyz and /metrics. Default: none.",
        examples=["127.0.0.1:9380"],
    )
    admin_token_file: str | None = Field(
        None,
        min_length=1,
        description="File that holds what the status page wants as the password. Default: none; then the page is shown "
        "on this machine only.",
        examples=["/run/secrets/admin-token"],
    )
    log: Literal["text", "json"] = Field("text", description="Shape of the log lines.")
    log_level: Literal["info", "warning", "error"] = Field(
        "info", description="What is logged: this, and what is worse."
    )
    slow_ms: int = Field(
        100,
        ge=0,
        le=600_000,
        description="A request that takes so long stands in PROXY SLOWLOG and on the status page; 0: none does.",
    )
    drain_seconds: float = Field(10, ge=0, le=3600, description="How long SIGTERM waits for open commands.")
    max_clients: int = Field(limits.MAX_CLIENTS, ge=1, le=1_000_000, description="Clients of all pools together.")
    max_lanes: int = Field(
        limits.DEDICATED_PER_NODE,
        ge=1,
        le=1_000_000,
        description="Clients that may block, watch or monitor at one node at a time, each on a connection of its own.",
    )


class NodeTable(Table):
    """One node, where a bare URL says too little."""

    url: str = Field(
        description="redis://, rediss:// or unix:// address; sentinel:// or (TLS) sentinels://h1:26379,h2:26379/NAME, "
        "where a user and password are the sentinels' own; or pool:other.",
        examples=["redis://10.0.0.1:6379"],
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Stable name: the ring hashes it, so that the address may change. Default: host:port, "
        "as nutcracker names its servers.",
        examples=["cache-a"],
    )
    weight: int = Field(
        1, ge=1, le=10_000, description="Share of the ring, relative to the others.", json_schema_extra={"only": "ring"}
    )
    username: str | None = Field(None, min_length=1, description="ACL user of the node.", examples=["proxy"])
    password: str | None = Field(None, min_length=1, description="Password of the node.", examples=["${NODE_PASSWORD}"])
    password_file: str | None = Field(
        None, min_length=1, description="File that holds the password.", examples=["/run/secrets/node"]
    )
    server_hostname: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="The name that a rediss:// node is asked for (SNI), and that must be in its certificate. "
        "Default: the host of its URL; of sentinels:// the host that they name, each sentinel being asked for its own.",
        examples=["cache-a.internal"],
    )

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


class LimitsTable(Table):
    """What clients may ask for; Redis's own defaults."""

    max_clients: int | None = Field(
        None, ge=1, le=1_000_000, description="Clients of this pool. Default: proxy.max_clients.", examples=[10_000]
    )
    client_output_mb: int = Field(
        limits.CLIENT_OUTPUT_BYTES // MIB, ge=1, description="Unread replies after which a slow client is cut, in MiB."
    )
    pubsub_output_mb: int = Field(
        limits.PUBSUB_OUTPUT_BYTES // MIB,
        ge=1,
        description="The same for a client that has subscribed or monitors, in MiB.",
    )
    bulk_mb: int = Field(int(limits.MAX_BULK_BYTES) // MIB, ge=1, le=4096, description="Largest single value, in MiB.")
    query_buffer_mb: int = Field(
        int(limits.MAX_QUERY_BUFFER_BYTES) // MIB, ge=1, le=65_536, description="Largest unfinished request, in MiB."
    )
    idle_timeout_s: int = Field(0, ge=0, description="Seconds after which an idle client is closed; 0: never.")


class UserTable(Table):
    """One user of a pool; the one named ``default`` is everybody who does not say AUTH."""

    password: str | None = Field(
        None, min_length=1, description="What this user must say with AUTH.", examples=["${APP_PASSWORD}"]
    )
    password_file: str | None = Field(
        None, min_length=1, description="File that holds this password.", examples=["/run/secrets/app"]
    )
    password_sha256: StringList = Field(
        default_factory=list,
        description="SHA-256 of a password, or of several, in hexadecimal digits; each of them will do.",
        examples=["0a041b9462caa4a31bac3567e0b6e6fd9100787db2ab433d96f6d178cabfce90"],
    )
    nopass: bool = Field(False, description="true: any password will do.")
    enabled: bool = Field(True, description="false: nobody can log in as this user.")
    commands: str = Field(
        "+@all",
        description="Rules of Redis's ACL, in the order in which they count.",
        examples=["+@all -@dangerous -@scripting"],
    )
    keys: StringList = Field(
        default_factory=lambda: ["*"],
        description='Patterns of keys; "%R~pattern" may only be read, "%W~pattern" only be written.',
        examples=[["app:*", "%R~shared:*"]],
    )
    channels: StringList = Field(
        default_factory=lambda: ["*"], description="Patterns of channels.", examples=[["app:*"]]
    )


class PoolTable(Table):
    """One pool."""

    listen: StringList = Field(
        default_factory=list,
        description='Where clients connect: "host:port", "[::1]:port", "unix:///path", or a list of these. '
        'With cert_file "redis://host:port" stays plain. '
        "A pool without it serves other pools only.",
        examples=["127.0.0.1:6380"],
    )
    socket_mode: str | None = Field(
        None,
        min_length=1,
        description="Rights of the files of unix sockets in octal digits; who may write one may connect. "
        "Default: what the umask leaves.",
        examples=["660"],
        json_schema_extra={"listens": True},
    )
    socket_user: str | None = Field(
        None,
        min_length=1,
        description="Owner of these files, a name or a number. Default: the proxy's user.",
        examples=["1000"],
        json_schema_extra={"listens": True},
    )
    socket_group: str | None = Field(
        None,
        min_length=1,
        description="Group of these files, a name or a number; the proxy must belong to it. Default: the proxy's.",
        examples=["33"],
        json_schema_extra={"listens": True},
    )
    mode: Literal["ring", "copy"] = Field(
        description='"ring": each key lives on one node. "copy": each key lives on every node.', examples=["ring"]
    )
    nodes: list[NodeTable] = Field(
        description="URLs, tables { url, name, weight, username, password, password_file }, or pool:other.",
        examples=[["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]],
    )
    password: str | None = Field(
        None,
        min_length=1,
        description="What clients must say with AUTH. Default: nothing.",
        examples=["${PROXY_PASSWORD}"],
        json_schema_extra={"listens": True},
    )
    password_file: str | None = Field(
        None,
        min_length=1,
        description="File that holds this password.",
        examples=["/run/secrets/proxy"],
        json_schema_extra={"listens": True},
    )
    protected: bool = Field(
        True,
        description="Clients of other machines need a password. false: everybody who reaches the listener may do "
        "everything.",
        json_schema_extra={"listens": True},
    )
    timeout_ms: int = Field(
        int(limits.COMMAND_SECONDS * 1000), ge=1, le=600_000, description="Deadline of every command at its node."
    )
    connect_timeout_ms: int = Field(
        int(limits.CONNECT_SECONDS * 1000), ge=1, le=600_000, description="Deadline of connecting to a node."
    )
    node_queue_mb: int = Field(
        limits.CONNECTION_QUEUE_BYTES // MIB,
        ge=1,
        le=65_536,
        description="Requests held for one connection to a node, in MiB; past it they get OVERLOADED.",
    )
    databases: int = Field(
        limits.DATABASE_COUNT,
        ge=1,
        le=65_536,
        description="Databases SELECT accepts.",
        json_schema_extra={"listens": True},
    )
    hash: Hash = Field(
        "ketama",
        description='How keys are placed. "ketama": nutcracker with hash: md5; "fnv1a_64": nutcracker\'s default; '
        '"hash_ring": django-kidoredis, the nodes in the order of its LOCATION; "django_redis_shard": '
        "django-redis's ShardClient, the URLs (or names) as in its LOCATION. The other hashes of nutcracker "
        'have their names: "fnv1_64", "fnv1a_32", "fnv1_32", "crc16", "crc32a", "murmur", "one_at_a_time", "jenkins", '
        '"hsieh", and "crc32", which has 15 bits: one or two nodes have all keys.',
        json_schema_extra={"only": "ring"},
    )
    tags: str = Field(
        "{}",
        description='The two characters around the part of a key that is hashed alone; "" turns tags off. '
        "With django_redis_shard the default finds tags as that ring does.",
        json_schema_extra={"only": "ring"},
    )
    together: list[StringList] = Field(
        default_factory=list,
        description="Prefixes of keys that belong on one node, each on its own; a list of prefixes in it is a group "
        f"that is kept on one node together. Known sets of prefixes: {', '.join(TOGETHER_SETS)}.",
        examples=[["@rq", ["cart:", "order:"]]],
        json_schema_extra={"only": "ring"},
    )
    on_down: Literal["error", "miss"] = Field(
        "error",
        description='While a node is down: "error" at once, or "miss": reads find nothing, writes are dropped.',
        json_schema_extra={"only": "ring", "later": ["next"]},
    )
    node_errors: Literal["fast", "retry"] | None = Field(
        None,
        description='What clients hear when a node gives no reply. "fast": NODEDOWN or TIMEOUT, an ordinary error; '
        '"retry": the same behind LOADING, which client libraries take for a lost connection: they come again. '
        'Default: "retry" if together names the set of a queue, else "fast".',
        examples=["retry"],
        json_schema_extra={"listens": True},
    )
    transactions: Literal["split", "strict"] = Field(
        "split",
        description='MULTI/EXEC over several nodes: "split" into one per node, or "strict": refused.',
        json_schema_extra={"only": "ring"},
    )
    same_server: bool = Field(
        False,
        description="true: several names may stand for one address, which is one server with several shares.",
        json_schema_extra={"only": "ring"},
    )
    ack: Literal["all", "quorum", "leader"] = Field(
        "all",
        description="Who has a write before it is answered: all nodes in sync, most of all nodes, or the key's leader.",
        json_schema_extra={"only": "copy"},
    )
    min_in_sync: int = Field(
        1, ge=1, description="Fewer nodes in sync refuse writes.", json_schema_extra={"only": "copy"}
    )
    effect_max_mb: int = Field(
        64,
        ge=1,
        le=4096,
        description="A script that one node runs for all is refused if its keys are larger than this, in MiB.",
        json_schema_extra={"only": "copy"},
    )
    heal: Literal["auto", "manual"] = Field(
        "auto",
        description='A node that is behind and answers is synced by itself ("auto"), or when somebody asks for it.',
        json_schema_extra={"only": "copy"},
    )
    sync_keys_per_s: int = Field(
        0,
        ge=0,
        description="A sync looks at no more keys in a second; 0: as many as it can.",
        json_schema_extra={"only": "copy"},
    )
    scrub: str = Field(
        "off",
        description="The copies are compared so often, and what differs is repaired: a number and s, m, h or d.",
        examples=["24h"],
        json_schema_extra={"only": "copy"},
    )
    read: Literal["leader", "first", "random", "nearest"] = Field(
        "leader",
        description='Who is asked: "leader" (spread over the nodes by key), "first" in the list, "random", or '
        '"nearest", which answers soonest.',
        json_schema_extra={"only": "copy"},
    )
    hedge_ms: NumberOrWord = Field(
        "off",
        description="A read that is not answered in so many milliseconds is asked of a second copy too, and the first "
        'reply counts; "p95": in the time in which 95 % of all reads are answered. At most 5 % of the reads.',
        examples=["p95"],
        json_schema_extra={"only": "copy"},
    )
    deny: list[str] = Field(
        default_factory=list,
        description="Commands that are refused besides the dangerous ones.",
        examples=[["keys", "flushall"]],
        json_schema_extra={"listens": True},
    )
    allow: list[str] = Field(
        default_factory=list,
        description="Commands that are served although they are refused by default.",
        examples=[["config|set"]],
        json_schema_extra={"listens": True},
    )
    rename: dict[str, str] = Field(
        default_factory=dict,
        description='New names for commands; "" turns one off.',
        examples=[{"flushall": "drop-it-all"}],
        json_schema_extra={"listens": True},
    )
    users: dict[str, UserTable] = Field(
        default_factory=dict, description="Users by name.", json_schema_extra={"listens": True}
    )
    limits: LimitsTable = Field(
        default_factory=lambda: LimitsTable.model_validate({}),
        description="What clients may ask for.",
        json_schema_extra={"listens": True},
    )
    tls: TlsTable = Field(default_factory=lambda: TlsTable.model_validate({}), description="TLS to nodes and clients.")


class FileTable(Table):
    """The whole file."""

    proxy: ProxyTable = Field(default_factory=lambda: ProxyTable.model_validate({}), description="The process itself.")
    pool: dict[str, PoolTable] = Field(default_factory=dict, description="The pools by name.")
