"""What a changed configuration sets in the objects of a process that serves, and that it does so as a whole."""

import gc
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from kidoproxy.config import Address, Config
from kidoproxy.net import live_update
from kidoproxy.net.connect import ConnectTarget
from kidoproxy.net.daemon import Daemon
from kidoproxy.net.from_config import connect_target
from kidoproxy.net.listeners import PoolListener
from kidoproxy.net.tls import Acceptor
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.read_order import READ_ORDERS
from kidoproxy.routes.topology import Node
from tests.certificates import listener_tls
from tests.config.files import pool, read

PEM = Path(__file__).with_name("localhost.pem")


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()


def targets_of(daemon: Daemon) -> dict[Node, ConnectTarget]:
    tree = daemon.route_tree
    return {node: connect_target(*member) for node, member in zip(tree.nodes, tree.node_configs, strict=True)}


def update(daemon: Daemon, config: Config, acceptors: list[Acceptor] | None = None) -> dict[Node, ConnectTarget]:
    targets = targets_of(daemon)
    address = Address("127.0.0.1", 1)
    made = daemon.make_update(config)
    for acceptor in acceptors or []:
        listener = PoolListener(acceptor.context.name, address, acceptor, [])
        made.listeners.kept.append((listener, config.pools[listener.pool], address))
    assert made.apply(targets) == 0
    daemon.config = config
    return targets


def context_of(acceptor: Acceptor) -> ssl.SSLContext | None:
    return acceptor.tls


def test_a_ring(tmp_path: Path) -> None:
    """Sessions, connections and those that are made next have what the file says now."""
    nodes = '["rediss://u:{}@a", "rediss://b"]'
    daemon = Daemon(read(tmp_path, pool("", nodes=nodes.format("x"))))
    lines = """
    timeout_ms = 250
    connect_timeout_ms = 750
    node_queue_mb = 7
    on_down = "miss"
    node_errors = "retry"
    transactions = "strict"
    password = "hush"
    deny = ["keys"]
    limits = { max_clients = 3, client_output_mb = 4, pubsub_output_mb = 5, bulk_mb = 6, query_buffer_mb = 7,
               idle_timeout_s = 8 }
    tls = { verify = false }
    """.replace("\n               ", " ")
    targets = update(daemon, read(tmp_path, pool(lines, nodes=nodes.format("y"))))
    context = daemon.contexts["cache"]
    assert (context.strict_transactions, context.miss_on_down, context.needs_arguments) == (True, True, True)
    assert (context.node_errors_as_loading, context.users.default.nopass) == (True, False)
    assert (context.commands.deny, context.max_clients, context.idle_seconds) == (frozenset({b"keys"}), 3, 8)
    assert (context.max_output_bytes >> 20, context.max_pubsub_output_bytes >> 20) == (4, 5)
    assert (context.max_bulk_bytes >> 20, context.max_query_bytes >> 20) == (6, 7)
    options = [each.options for each in daemon.executor.connection_sets]
    assert [(each.timeout, each.max_queue_bytes >> 20, each.login.password) for each in options] == [
        (0.25, 7, "y"),
        (0.25, 7, ""),
    ]
    for target in targets.values():
        assert target.connect_timeout == 0.75
        assert target.tls is not None
        assert target.tls.verify_mode == ssl.CERT_NONE
    update(daemon, read(tmp_path, pool("", nodes=nodes.format("y"))))
    assert (context.needs_arguments, context.users.default.nopass) == (False, True)


def test_copies(tmp_path: Path) -> None:
    """Their group has the new values."""
    daemon = Daemon(read(tmp_path, pool("", "copy")))
    lines = 'heal = "manual"\nsync_keys_per_s = 7\neffect_max_mb = 3\nack = "quorum"\nmin_in_sync = 2\nscrub = "7h"'
    update(daemon, read(tmp_path, pool(f'{lines}\nread = "first"', "copy")))
    (group,) = daemon.route_tree.copy_groups
    assert (group.heals_itself, group.sync_keys_per_s, group.effect_max_bytes >> 20) == (False, 7, 3)
    assert (group.acks_needed, group.min_in_sync, group.scrub.interval) == (2, 2, 7 * 3600)
    route = daemon.route_tree.pools["cache"]
    assert isinstance(route, CopyPool)
    assert route.read_order == READ_ORDERS["first"]


def test_listeners(tmp_path: Path) -> None:
    """TLS may come, be renewed, and go: for sockets that are accepted from then on."""
    daemon = Daemon(read(tmp_path, pool("")))
    acceptor = Acceptor.__new__(Acceptor)
    acceptor.context, acceptor.tls = daemon.contexts["cache"], None
    tls = f'tls = {{ cert_file = "{PEM}", key_file = "{PEM}" }}'
    update(daemon, read(tmp_path, pool(tls)), [acceptor])
    first = context_of(acceptor)
    assert first is not None
    update(daemon, read(tmp_path, pool(tls.replace(" }", ', min_version = "1.3" }'))), [acceptor])
    assert context_of(acceptor) not in (first, None)
    update(daemon, read(tmp_path, pool("")), [acceptor])
    assert context_of(acceptor) is None


def test_nothing_is_set_if_something_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is made first."""
    daemon = Daemon(read(tmp_path, pool("")))
    monkeypatch.setattr(live_update, "connect_target", lambda *member: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        update(daemon, read(tmp_path, pool('deny = ["keys"]\ntimeout_ms = 7')))
    assert daemon.contexts["cache"].commands.deny == frozenset()
    assert daemon.executor.connection_sets[0].options.timeout == 0.5


def test_what_was_read_is_what_is_served(tmp_path: Path) -> None:
    """A worker needs no file for what its parent has read."""
    file = tmp_path / "both.pem"
    file.write_bytes(b"# ours\n" + PEM.read_bytes())
    config = read(tmp_path, pool('tls = { cert_file = "both.pem", key_file = "both.pem" }'))
    assert config.pools["cache"].listener_tls == listener_tls(str(file), str(file))
    file.unlink()
    daemon = Daemon(read(tmp_path, pool("")))
    acceptor = Acceptor.__new__(Acceptor)
    acceptor.context, acceptor.tls = daemon.contexts["cache"], None
    update(daemon, config, [acceptor])
    assert context_of(acceptor) is not None
