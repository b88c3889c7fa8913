"""`kidoproxy.config.changes`: what differs between two files, and whether a running proxy can take it over."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from kidoproxy.config.changes import (
    LIMITS_RULES,
    NODE_RULES,
    POOL_RULES,
    PROXY_RULES,
    TLS_RULES,
    USER_RULES,
    ReloadPlan,
    Rules,
    plan_reload,
)
from kidoproxy.config.schema import LimitsTable, NodeTable, PoolTable, ProxyTable, UserTable
from kidoproxy.config.schema_tls import TlsTable
from tests.config.files import pool, read

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"
CERT = f'cert_file = "{PEM}", key_file = "{PEM}"'
USER = "[pool.cache.users]\nann = { password = 'x', "


def plan(tmp_path: Path, old: str, new: str) -> ReloadPlan:
    return plan_reload(read(tmp_path, old), read(tmp_path, new))


@pytest.mark.parametrize(
    ("rules", "table"),
    [
        (PROXY_RULES, ProxyTable),
        (POOL_RULES, PoolTable),
        (USER_RULES, UserTable),
        (LIMITS_RULES, LimitsTable),
        (TLS_RULES, TlsTable),
        (NODE_RULES, NodeTable),
    ],
)
def test_every_key_has_its_rule(rules: Rules, table: type[BaseModel]) -> None:
    """In the order of the schema, so that a new key is not forgotten."""
    assert list(rules) == list(table.model_fields)


def test_nothing_has_changed(tmp_path: Path) -> None:
    """Comments, the order of tables and where a password stands do not count."""
    (tmp_path / "secret").write_text("hush\n")
    other = 'password_file = "secret"  # moved'
    assert plan(tmp_path, pool('password = "hush"'), pool(other)) == ReloadPlan()


LIVE: list[tuple[str, str, str]] = [
    ("", '[proxy]\nlog = "json"', "proxy.log"),
    ("", '[proxy]\nlog_level = "error"', "proxy.log_level"),
    ("", "[proxy]\ndrain_seconds = 1", "proxy.drain_seconds"),
    ("", "[proxy]\nslow_ms = 20", "proxy.slow_ms"),
    ("", "[proxy]\nmax_lanes = 7", "proxy.max_lanes"),
    ('password = "a"', 'password = "b"', "pool.cache.password"),
    ("", "timeout_ms = 7", "pool.cache.timeout_ms"),
    ("", "connect_timeout_ms = 7", "pool.cache.connect_timeout_ms"),
    ("", "node_queue_mb = 7", "pool.cache.node_queue_mb"),
    ("", 'on_down = "miss"', "pool.cache.on_down"),
    ("", 'node_errors = "retry"', "pool.cache.node_errors"),
    ("", 'transactions = "strict"', "pool.cache.transactions"),
    ("", 'deny = ["keys"]', "pool.cache.deny"),
    ("", 'allow = ["debug"]', "pool.cache.allow"),
    ("", 'rename = { keys = "k" }', "pool.cache.rename"),
    ("", USER.removesuffix(", ") + " }", "pool.cache.users"),
    (USER + "keys = 'a' }", USER + "keys = 'b' }", "pool.cache.users.ann.keys"),
    (USER + "keys = 'a' }", USER.replace("x", "y") + "keys = 'a' }", "pool.cache.users.ann.password"),
    (USER + "commands = '+@all' }", USER + "commands = '+get' }", "pool.cache.users.ann.commands"),
    (USER + "channels = 'a' }", USER + "channels = 'b' }", "pool.cache.users.ann.channels"),
    (USER + "enabled = true }", USER + "enabled = false }", "pool.cache.users.ann.enabled"),
    ("", "limits = { max_clients = 7 }", "pool.cache.limits.max_clients"),
    ("", "limits = { client_output_mb = 7 }", "pool.cache.limits.client_output_mb"),
    ("", "limits = { pubsub_output_mb = 7 }", "pool.cache.limits.pubsub_output_mb"),
    ("", "limits = { bulk_mb = 7 }", "pool.cache.limits.bulk_mb"),
    ("", "limits = { query_buffer_mb = 7 }", "pool.cache.limits.query_buffer_mb"),
    ("", "limits = { idle_timeout_s = 7 }", "pool.cache.limits.idle_timeout_s"),
    (f"tls = {{ {CERT} }}", f"tls = {{ {CERT}, min_version = '1.3' }}", "pool.cache.tls.min_version"),
    (f"tls = {{ {CERT} }}", f"tls = {{ {CERT}, client_ca_file = '{PEM}' }}", "pool.cache.tls.client_ca_file"),
]


@pytest.mark.parametrize(("old", "new", "key"), LIVE)
def test_live(tmp_path: Path, old: str, new: str, key: str) -> None:
    """Each by its own name, and nothing else."""
    assert plan(tmp_path, pool(old), pool(new)) == ReloadPlan(live=(key,))


RESTART: list[tuple[str, str, str]] = [
    ("", "[proxy]\nworkers = 2", "proxy.workers"),
    ("", '[proxy]\nstate_dir = "/x"', "proxy.state_dir"),
    ("", '[proxy]\nadmin = "127.0.0.1:1"', "proxy.admin"),
    ("", "databases = 7", "pool.cache.databases"),
    ("", 'hash = "fnv1a_64"', "pool.cache.hash"),
    ("", 'tags = "<>"', "pool.cache.tags"),
    ("", 'together = ["a"]', "pool.cache.together"),
]


@pytest.mark.parametrize(("old", "new", "key"), RESTART)
def test_restart(tmp_path: Path, old: str, new: str, key: str) -> None:
    """What decides where a key is, or what the process has from its start."""
    assert plan(tmp_path, pool(old), pool(new)) == ReloadPlan(restart=(key,))


NODES: list[tuple[str, str, ReloadPlan]] = [
    ('["redis://a"]', '["redis://a", "redis://b"]', ReloadPlan(restart=("pool.cache.nodes",))),
    ('["redis://a", "redis://b"]', '["redis://b", "redis://a"]', ReloadPlan(restart=("pool.cache.nodes",))),
    (
        '[{ url = "redis://a", name = "n" }]',
        '[{ url = "redis://b", name = "n" }]',
        ReloadPlan(live=("pool.cache.nodes[0].url",)),
    ),
    (
        '[{ url = "redis://a", name = "n" }]',
        '[{ url = "rediss://a", name = "n" }]',
        ReloadPlan(
            live=(
                "pool.cache.tls.ca_file",
                "pool.cache.tls.verify",
                "pool.cache.nodes[0].url",
                "pool.cache.nodes[0].server_hostname",
            )
        ),
    ),
    ('["redis://a"]', '[{ url = "redis://a", weight = 2 }]', ReloadPlan(restart=("pool.cache.nodes[0].weight",))),
    ('["redis://u:x@a"]', '["redis://u:y@a"]', ReloadPlan(live=("pool.cache.nodes[0].password",))),
    ('["redis://u:x@a"]', '["redis://v:x@a"]', ReloadPlan(live=("pool.cache.nodes[0].username",))),
    ('["redis://a"]', '[{ url = "pool:a", name = "a:6379" }]', ReloadPlan(restart=("pool.cache.nodes[0].url",))),
    ('["pool:a"]', '[{ url = "pool:b", name = "a" }]', ReloadPlan(restart=("pool.cache.nodes[0].url",))),
]
BELOW = "".join([f'[pool.{name}]\nlisten = "127.0.0.1:{port}"\nmode = "ring"\nnodes = ["redis://{name}{name}"]\n'
                 for name, port in (("a", 1), ("b", 2))])  # fmt: skip


@pytest.mark.parametrize(("old", "new", "wanted"), NODES)
def test_nodes(tmp_path: Path, old: str, new: str, wanted: ReloadPlan) -> None:
    """Logins and addresses are live; who a node is, and what it gets, is not."""
    assert plan(tmp_path, pool(BELOW, nodes=old), pool(BELOW, nodes=new)) == wanted


def test_addresses_that_stay(tmp_path: Path) -> None:
    """Of copies, which hold what they were sent; and of masters, which their sentinels know."""
    first, second = [f'["redis://a", {{ url = "redis://{host}", name = "n" }}]' for host in ("b", "c")]
    restart = ReloadPlan(restart=("pool.cache.nodes[1].url",))
    assert plan(tmp_path, pool("", "copy", first), pool("", "copy", second)) == restart
    first, second = [
        f'[{{ url = "redis://a", name = "n" }}, {{ url = "redis://{host}", name = "m" }}]' for host in "ab"
    ]
    lines = "same_server = true"
    assert plan(tmp_path, pool(lines, nodes=first), pool(lines, nodes=second)) == restart
    first, second = [f'[{{ url = "sentinel://a,{host}/m", name = "n" }}]' for host in ("b", "c")]
    restart = ReloadPlan(restart=("pool.cache.nodes[0].url",))
    assert plan(tmp_path, pool("", nodes=first), pool("", nodes=second)) == restart


def test_authorities_of_nodes(tmp_path: Path) -> None:
    """Also those of the same name that have changed."""
    nodes = '["rediss://a"]'
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PEM.read_bytes())
    text = pool('tls = { ca_file = "ca.pem" }', nodes=nodes)
    old = read(tmp_path, text)
    ca.write_bytes(b"# renewed\n" + PEM.read_bytes())
    assert plan_reload(old, read(tmp_path, text)) == ReloadPlan(live=("pool.cache.tls.ca_file",))
    other = read(tmp_path, pool("tls = { verify = false }", nodes=nodes))
    assert plan_reload(old, other) == ReloadPlan(live=("pool.cache.tls.ca_file", "pool.cache.tls.verify"))


COPIES: list[tuple[str, Any]] = [
    ("ack", "leader"),
    ("min_in_sync", 2),
    ("read", "first"),
    ("scrub", "7h"),
    ("heal", "manual"),
    ("sync_keys_per_s", 7),
    ("effect_max_mb", 7),
]


@pytest.mark.parametrize(("key", "value"), COPIES)
def test_copies(tmp_path: Path, key: str, value: Any) -> None:
    """All that a copy pool may be told counts from then on."""
    found = plan(tmp_path, pool("", "copy"), pool(f"{key} = {value!r}", "copy"))
    assert found == ReloadPlan(live=(f"pool.cache.{key}",))


def test_pools(tmp_path: Path) -> None:
    """Pools that are new or gone, another mode: by one name each, beside what is live."""
    more = BELOW.partition("[pool.b]")[0]
    assert plan(tmp_path, pool(""), pool(more)) == ReloadPlan(restart=("pool.a",))
    assert plan(tmp_path, pool(more), pool("")) == ReloadPlan(restart=("pool.a",))
    assert plan(tmp_path, pool(""), pool("timeout_ms = 7", "copy")) == ReloadPlan(restart=("pool.cache.mode",))
    moved = pool("timeout_ms = 7").replace("6380", "6390")
    assert plan(tmp_path, pool(""), moved) == ReloadPlan(("pool.cache.listen", "pool.cache.timeout_ms"))


def test_what_a_pool_has_of_the_proxy(tmp_path: Path) -> None:
    """Both names are said where one default follows from another key."""
    found = plan(tmp_path, pool(""), pool("[proxy]\nmax_clients = 7"))
    assert found == ReloadPlan(live=("proxy.max_clients", "pool.cache.limits.max_clients"))
