"""What other programs call the things of our file."""

from typing import Final

#: Keys of other programs -> what we have instead.
OTHER_NAMES: Final = {
    "servers": "nodes",
    "node": "nodes",
    "server": "nodes",
    "hosts": "nodes",
    "backends": "nodes",
    "bind": "listen",
    "address": "listen",
    "hash_tag": "tags",
    "redis_auth": "password",
    "requirepass": "password",
    "auth": "password",
    "timeout": "timeout_ms",
    "host": "url",
    "client_connections": "limits",
}
#: The same for keys of which nothing is left but a sentence.
WITHOUT_NAMES: Final = {
    "distribution": 'mode = "ring" is ketama',
    "auto_eject_hosts": 'on_down = "miss" makes misses of the keys of a node that is down',
    "redis": "every pool is for Redis; take it out",
    "redis_db": "clients choose the database, as in redis://host:port/1; take it out",
    "db": "clients choose the database, as in redis://host:port/1; take it out",
    "server_connections": "not needed; take it out",
    "port": 'it is a part of "url"',
    "backlog": "not needed; take it out",
    "preconnect": "not needed; take it out",
    "server_retry_timeout": "not needed; take it out",
    "server_failure_limit": "not needed; take it out",
}
#: Values of other programs -> ours, by key.
OTHER_VALUES: Final[dict[str, dict[str, str]]] = {
    "hash": {"md5": "ketama", "fnv1a": "fnv1a_64", "consistent": "ketama", "shard": "django_redis_shard"},
    "mode": {
        "cluster": "ring", "shard": "ring", "sharded": "ring", "ketama": "ring", "hash": "ring", "distributed": "ring",
        "replica": "copy", "replicas": "copy", "replication": "copy", "replicated": "copy", "mirror": "copy",
        "copies": "copy", "sentinel": "ring", "master": "ring",
    },
    "on_down": {"skip": "miss", "ignore": "miss", "fail": "error", "eject": "miss"},
}  # fmt: skip
