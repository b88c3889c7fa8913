"""The configuration as the rest of the code reads it: frozen, complete, checked; secrets wrapped.

Times are seconds, sizes are bytes, names of commands are lower case with a bar (``config|set``).
A value of these classes can be pickled, so that worker processes can be given one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kidoproxy.config.address import Address
from kidoproxy.config.secret import NO_SECRET, Secret


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain of certificates and its key: the files, and what stood in them when the configuration was read."""

    cert_file: str
    key_file: str
    cert_pem: bytes = field(default=b"", repr=False)
    key_pem: Secret = NO_SECRET


@dataclass(frozen=True, slots=True)
class Tls:
    """How a ``rediss://`` server is trusted (without ``ca_file`` by the system's authorities), and what it is shown.

    ``server_hostname`` is the name that is asked for (SNI) and checked; empty: the host of its address.
    """

    ca_file: str = ""
    verify: bool = True
    certificate: Certificate | None = None
    server_hostname: str = ""
    ca_pem: bytes = field(default=b"", repr=False)  # what stands in ca_file


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """What clients of a TLS listener are shown, and must show: nothing unless ``client_ca_file`` is given.

    Of several certificates a client is shown the one of the name that it asks for, else the first.
    """

    certificates: tuple[Certificate, ...]
    client_ca_file: str = ""
    min_version: str = "1.2"
    client_ca_pem: bytes = field(default=b"", repr=False)
    auth_clients: str = "required"  # or "optional"
    auth_clients_user: str = "off"  # or the field of a client's certificate that names its user: "CN", "URI"
    ciphers: str = ""  # of TLS 1.2, as OpenSSL writes them

    @property
    def wants_every_certificate(self) -> bool:
        """Whether nobody is served without a certificate."""
        return bool(self.client_ca_file) and self.auth_clients == "required"


@dataclass(frozen=True, slots=True)
class SocketAccess:
    """Mode and owners of a unix socket's file; None and -1: as the system makes it."""

    mode: int | None = None
    uid: int = -1
    gid: int = -1


@dataclass(frozen=True, slots=True)
class SentinelGroup:
    """The sentinels that watch a master which they call ``service``, and how to log in to them."""

    service: str
    addresses: tuple[Address, ...]
    username: str = ""
    password: Secret = NO_SECRET


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One Redis or Valkey server. ``name`` is stable and shown; ``ring_name`` is what the ring hashes.

    With ``sentinels`` it is whatever server these call the master; user, password and TLS are for that one.
    """

    name: str
    address: Address
    weight: int = 1
    username: str = ""
    password: Secret = NO_SECRET
    tls: Tls | None = None
    ring_name: str = field(default="", repr=False)  # may be a whole URL, see members.py
    sentinels: SentinelGroup | None = None


@dataclass(frozen=True, slots=True)
class PoolRef:
    """A pool that is a member of another pool."""

    name: str
    pool: str
    weight: int = 1
    ring_name: str = field(default="", repr=False)


Member = NodeConfig | PoolRef


@dataclass(frozen=True, slots=True)
class RingOptions:
    """How a ring places keys, and what it does while a node is down."""

    hash: str = "ketama"
    tags: bytes = b"{}"
    together: tuple[bytes | tuple[bytes, ...], ...] = ()  # prefixes, names of sets with their @, groups of both
    on_down: str = "error"
    transactions: str = "split"
    same_server: bool = False


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """Who must have a write before it is acknowledged, and who is asked for a read."""

    ack: str = "all"
    min_in_sync: int = 1
    read: str = "leader"
    hedge: float | None = None  # seconds; 0.0: the 95th percentile
    heal: str = "auto"
    sync_keys_per_s: int = 0
    scrub_s: float = 0.0  # seconds between two; 0: never
    effect_max_mb: int = 64


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one listening pool accepts from its clients; 0 means no limit where that is said."""

    max_clients: int
    client_output_bytes: int
    bulk_bytes: int
    query_buffer_bytes: int
    idle_seconds: int  # 0: never
    pubsub_output_bytes: int


@dataclass(frozen=True, slots=True)
class UserConfig:
    """Somebody who may log in. Keys are as ``~app:*`` or ``%R~app:*``, channels as ``&x``; ``nopass``: any password."""

    name: str
    enabled: bool = True
    nopass: bool = False
    password: Secret = NO_SECRET
    digests: tuple[Secret, ...] = ()  # SHA-256, 64 lower-case hexadecimal digits, of more passwords
    commands: str = "+@all"
    keys: tuple[bytes, ...] = (b"~*",)
    channels: tuple[bytes, ...] = (b"&*",)


@dataclass(frozen=True, slots=True)
class Pool:
    """A named route: a ring or a copy group over its members. Exactly one of ``ring`` and ``copy`` is set."""

    name: str
    mode: str
    listen: tuple[Address, ...]
    members: tuple[Member, ...]
    limits: ClientLimits
    password: Secret = NO_SECRET
    timeout: float = 0.5
    connect_timeout: float = 1.0
    node_queue_bytes: int = 1024 * 1024 * 1024
    databases: int = 16
    node_errors: str = "fast"
    ring: RingOptions | None = None
    copy: CopyOptions | None = None
    deny: frozenset[bytes] = frozenset()
    allow: frozenset[bytes] = frozenset()
    rename: dict[bytes, bytes] = field(default_factory=dict)  # command -> new name, b"" for off
    users: tuple[UserConfig, ...] = ()  # as the file has them
    listener_tls: ListenerTls | None = None
    socket_access: SocketAccess = SocketAccess()

    @property
    def nodes(self) -> tuple[NodeConfig, ...]:
        """The members that are servers."""
        return tuple(member for member in self.members if isinstance(member, NodeConfig))

    def is_open(self, address: Address) -> bool:
        """Whether whoever connects there is served: no certificate is wanted, and some user takes any password."""
        if self.is_certificate_wanted() and not address.plain:
            return False
        return any(user.enabled and user.nopass for user in self.all_users())

    def is_certificate_wanted(self) -> bool:
        """Whether all clients of TLS must show a certificate."""
        return self.listener_tls is not None and self.listener_tls.wants_every_certificate

    def all_users(self) -> tuple[UserConfig, ...]:
        """All users, the default one among them, whose password may be the pool's own."""
        default_user = UserConfig("default", nopass=not self.password, password=self.password)
        return self.users if any(user.name == default_user.name for user in self.users) else (default_user, *self.users)

    @property
    def pool_refs(self) -> tuple[PoolRef, ...]:
        """The members that are pools."""
        return tuple(member for member in self.members if isinstance(member, PoolRef))


@dataclass(frozen=True, slots=True)
class Config:
    """Everything one proxy needs to know. ``source`` is the file's name for messages, empty for the embedded run."""

    pools: dict[str, Pool]
    source: str = ""
    workers: int = 1
    state_dir: Path | None = None
    admin: Address | None = None
    admin_token: Secret = NO_SECRET
    log: str = "text"
    log_level: str = "info"
    slow_seconds: float = 0.1  # 0.0: no request is slow
    drain_seconds: float = 10.0
    max_clients: int = 10_000
    max_lanes: int = 4_000
    warnings: tuple[str, ...] = ()  # what is valid and dangerous, a line each

    def listening_pools(self) -> tuple[Pool, ...]:
        """The pools that clients can reach."""
        return tuple(pool for pool in self.pools.values() if pool.listen)

    def pools_below(self, name: str) -> Iterator[Pool]:
        """The pool and all pools under it, itself first."""
        pool = self.pools[name]
        yield pool
        for child in pool.pool_refs:
            yield from self.pools_below(child.pool)

    def contains_copy_pool(self, name: str) -> bool:
        """Whether writes below this pool need one place that orders them."""
        return any(pool.copy is not None for pool in self.pools_below(name))
