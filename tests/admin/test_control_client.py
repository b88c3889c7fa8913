"""Asking nodes how they are, and telling a proxy to sync: every disappointment is one sentence."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
import redis

from kidoproxy.admin.control_client import (
    check_node,
    check_nodes,
    connect,
    describe_error,
    listener_for,
    operator_user,
    parse_version,
    sync,
)
from kidoproxy.config import (
    Address,
    ClientLimits,
    Config,
    CopyOptions,
    Node,
    Pool,
    PoolRef,
    RingOptions,
    Secret,
    Tls,
    User,
)

LIMITS = ClientLimits(10, 1, 1, 1, 0, 1)


def pool_of(
    *nodes: Node, name: str = "p", mode: str = "copy", listen: Address | None = None, timeout: float = 5.0
) -> Pool:
    return Pool(
        name=name,
        mode=mode,
        listen=() if listen is None else (listen,),
        members=nodes,
        limits=LIMITS,
        connect_timeout=timeout,
        ring=RingOptions() if mode == "ring" else None,
        copy=CopyOptions() if mode == "copy" else None,
    )


def question(connection: socket.socket) -> bytes:
    """What the client sends next, but for the introduction that the library makes."""
    data = connection.recv(65536)
    while b"SETINFO" in data:
        connection.sendall(b"+OK\r\n" * data.count(b"SETINFO"))
        data = connection.recv(65536)
    return data


@contextmanager
def canned(*replies: bytes) -> Iterator[tuple[Address, list[bytes]]]:
    """A listener that answers each piece of bytes with the next reply, then hangs up; and what it was sent."""
    requests: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            for reply in replies:
                requests.append(question(connection))
                connection.sendall(reply)
            question(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield Address("127.0.0.1", listener.getsockname()[1]), requests
        finally:
            thread.join()


def bulk(text: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text.encode())


def info(*lines: str) -> tuple[bytes, ...]:
    """The replies to six PINGs and INFO."""
    return (b"+PONG\r\n",) * 6 + (bulk("\r\n".join(lines)),)


@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        (info("redis_version:6.0.16", "role:master"), "is redis 6.0.16; a copy pool needs Redis 6.2 or newer"),
        (info("redis_version:7.0.0", "role:slave"), "is a replica: writes to it would fail"),
        (
            info("redis_version:7.0.0", "role:slave", "master_host:h", "master_port:1"),
            "is a replica of h:1: writes to it would fail",
        ),
        (
            info("redis_version:7.0.0", "cluster_enabled:1"),
            "runs in cluster mode, which has slots of its own; a node must be a plain server",
        ),
        (info("redis_version:7.0.0", "loading:1"), "is still loading its data"),
        ((b"-LOADING Redis is loading the dataset in memory\r\n",), "is still loading its data"),
        ((b"-NOAUTH Authentication required.\r\n",), "wants a password, and none is configured"),
        ((b"-NOPERM this user has no permissions\r\n",), "the node's user may not say PING and INFO"),
        ((b"-ERR max number of clients reached\r\n",), "max number of clients reached"),
        ((b"-ERR strange\r\n",), "says: strange"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "what answers there is not Redis"),
        ((), "closed the connection; what answers there may not be Redis"),
    ],
)
def test_problems(replies: tuple[bytes, ...], problem: str) -> None:
    """Who is not fit to be a node says so itself, or is found out."""
    with canned(*replies) as (address, _):
        checkup = check_node(Node("n", address), pool_of())

    assert checkup.problems == [problem]


def test_a_sound_node() -> None:
    """Without problems there is a server, a version and a latency, asked by PING and INFO."""
    with canned(*info("redis_version:7.2.4", "valkey_version:9.1.2", "role:master")) as (address, requests):
        checkup = check_node(Node("n", address), pool_of())

    assert (checkup.server, checkup.problems) == ("valkey 9.1.2", [])
    assert checkup.latency_ms is not None
    assert b"HELLO" not in b"".join(requests)


def test_an_old_node_on_a_ring() -> None:
    """A ring has no minimum: it only relays."""
    with canned(*info("redis_version:2.8.0")) as (address, _):
        assert check_node(Node("n", address), pool_of(mode="ring")).problems == []


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "refuses the configured user or passw"),
        (
            b"-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n",
            "wants no password, but one is configured",
        ),
    ],
)
def test_passwords(reply: bytes, problem: str) -> None:
    """A password that does not fit is said to be so, and is not shown."""
    with canned(reply) as (address, requests):
        checkup = check_node(Node("n", address, password=Secret("hush")), pool_of())

    assert len(checkup.problems) == 1
    assert checkup.problems[0].startswith(problem)
    assert b"hush" in requests[0]


def test_nobody_there() -> None:
    """What the system says is passed on in its words."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert check_node(Node("n", Address("127.0.0.1", port)), pool_of()).problems == ["connection refused"]
    assert check_node(Node("n", Address(path="/no/such")), pool_of()).problems == ["no such file or directory"]
    (problem,) = check_node(Node("n", Address("name.invalid", 1)), pool_of()).problems
    assert "name" in problem


def test_silence() -> None:
    """A listener that never answers costs no more than the pool's timeout."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        node = Node("n", Address("127.0.0.1", mute.getsockname()[1]))

        assert check_node(node, pool_of(timeout=0.05)).problems == ["does not answer in time"]


def test_reasons_of_last_resort() -> None:
    """An error that says nothing is named by its class."""
    assert describe_error(redis.ConnectionError("Some Thing.\nmore")) == "some thing"
    assert describe_error(redis.ConnectionError()) == "ConnectionError"


@pytest.mark.parametrize(("tls", "verify"), [(Tls("", True), "required"), (Tls("/ca", False), "none")])
def test_tls(tls: Tls, verify: str) -> None:
    """The configured trust reaches the client."""
    with connect(Address("h", 1), "", Secret(), tls, 1.0) as client:
        options = client.connection_pool.connection_kwargs

    assert (options["ssl_cert_reqs"], options["ssl_check_hostname"]) == (verify, tls.verify)
    assert options["ssl_ca_certs"] == (tls.ca_file or None)


def test_all_pools() -> None:
    """All nodes of all pools are asked, and found under their pool."""
    with canned(*info("redis_version:7.0.0")) as (a, _), canned(*info("redis_version:7.0.1")) as (b, _):
        found = check_nodes(Config({"p": pool_of(Node("a", a)), "q": pool_of(Node("b", b), name="q")}))

    assert {name: [checkup.server for checkup in checkups] for name, checkups in found.items()} == {
        "p": ["redis 7.0.0"],
        "q": ["redis 7.0.1"],
    }


def found_in(config: Config, infos: dict[str, bytes]) -> dict[str, list[str]]:
    """The problems that `check` finds, by node, if each node's INFO says this."""
    with ExitStack() as stack:
        places = {}
        for name, line in infos.items():
            places[name], _ = stack.enter_context(canned(*info("redis_version:7.0.0", line.decode())))
        pools = {
            name: replace(
                pool,
                members=tuple(
                    replace(member, address=places[member.name]) if isinstance(member, Node) else member
                    for member in pool.members
                ),
            )
            for name, pool in config.pools.items()
        }
        found = check_nodes(Config(pools))
    return {checkup.node.name: checkup.problems for checkups in found.values() for checkup in checkups}


def test_one_server_twice() -> None:
    """Two nodes below one listener with one run id are one server; below two listeners they may be."""
    nowhere, other = Address("h", 1), Address("h", 2)
    a, b, c = (Node(name, Address(name, 1)) for name in "abc")
    same, apart, silent = b"run_id:1", b"run_id:2", b"run_id:"
    problems = ["it is the same server as a (one run id); name each server once"]
    for mode in ("ring", "copy"):
        pair = Config({"p": pool_of(a, b, c, mode=mode, listen=nowhere)})
        assert found_in(pair, {"a": same, "b": same, "c": apart}) == {"a": [], "b": problems, "c": []}
        assert found_in(pair, {"a": silent, "b": silent, "c": apart}) == {"a": [], "b": [], "c": []}
    below = {"l": pool_of(a, name="l"), "r": pool_of(b, name="r")}
    top = Pool("top", "ring", (nowhere,), (PoolRef("l", "l"), PoolRef("r", "r"), c), LIMITS, ring=RingOptions())
    assert found_in(Config({"top": top, **below}), {"a": same, "b": same, "c": apart})["b"] == problems
    two = {"l": pool_of(a, name="l", listen=nowhere), "r": pool_of(b, name="r", listen=other)}
    assert found_in(Config(two), {"a": same, "b": same}) == {"a": [], "b": []}


def databases_of(count: str) -> bytes:
    """The reply to CONFIG GET databases."""
    return b"*2\r\n%b%b" % (bulk("databases"), bulk(count))


@pytest.mark.parametrize(
    ("counts", "problems"),
    [
        (("16", "16"), [[], []]),
        (("16", "64"), [[], ["has 64 databases and a has 16; copies need the same 'databases'"]]),
        (("64", "x"), [[], []]),
        (("", "64"), [[], []]),
        (
            ("16", "4"),
            [
                [],
                [
                    "has 4 databases, the pool serves 16: set 'databases' alike",
                    "has 4 databases and a has 16; copies need the same 'databases'",
                ],
            ],
        ),
    ],
)
def test_databases(counts: tuple[str, str], problems: list[list[str]]) -> None:
    """Copies whose databases differ, or are fewer than the pool serves, are found out; who does not say is not."""
    first, second = (canned(*info("redis_version:7.0.0"), databases_of(count)) for count in counts)
    with first as (a, _), second as (b, _):
        found = check_nodes(Config({"p": pool_of(Node("a", a), Node("b", b))}))

    assert [checkup.problems for checkup in found["p"]] == problems


def test_versions() -> None:
    """Versions are compared by numbers, not as text."""
    assert parse_version("6.10.1") > parse_version("6.2.9")
    assert parse_version("7.9.240-beta") == (7, 9, 0)


def test_listeners() -> None:
    """A pool without a listener is reached through one above it."""
    low, high = Address("h", 1), Address("h", 2)
    above = Pool("above", "ring", (high,), (PoolRef("below", "below"),), LIMITS, ring=RingOptions())
    config = Config({"below": pool_of(name="below"), "above": above, "alone": pool_of(name="alone", listen=low)})

    assert listener_for(config, "below") is above
    assert listener_for(config, "alone") is config.pools["alone"]
    assert listener_for(config, "nobody") is None


def row(name: str, state: str, doing: str = "") -> bytes:
    """One node in ``PROXY NODES``."""
    cells = [bulk(text) for text in ("name", name, "state", state, "sync", doing, "links")]
    return b"*1\r\n*8\r\n%b:1\r\n" % b"".join(cells)


class TestSync:
    """The conversation with a running proxy."""

    def test_until_it_is_in_sync(self) -> None:
        """The order is given once; each change is reported; the end is the node in sync."""
        rows = [row("b", "behind"), row("b", "syncing", "1 of 2"), row("b", "syncing", "1 of 2"), row("b", "in sync")]
        said: list[str] = []
        with canned(b"+OK\r\n", *rows) as (address, requests):
            done = sync(Config({"p": pool_of(listen=address)}), "p", "b", said.append, pause=0)

        assert done
        assert said == ["b: behind", "b: syncing (1 of 2)", "b: in sync"]
        assert [b"SYNC" in line for line in requests] == [True, False, False, False, False]

    @pytest.mark.parametrize(
        ("rows", "last"),
        [
            ([row("a", "in sync")], "b: the proxy does not know it"),
            ([row("b", "behind", "failed: no memory")], "b: behind (failed: no memory)"),
            ([row("b", "behind")] * 25, "b: behind"),
        ],
    )
    def test_until_it_is_given_up(self, rows: list[bytes], last: str) -> None:
        """A node that is unknown, failed, or that nobody works on is not waited for."""
        said: list[str] = []
        with canned(b"+OK\r\n", *rows) as (address, _):
            done = sync(Config({"p": pool_of(listen=address)}), "p", "b", said.append, pause=0)

        assert (done, said) == (False, [last])

    def test_nodes_of_one_name(self) -> None:
        """Pools may have nodes of one name: the state that counts is that of the pool that was ordered."""
        cells = [bulk(text) for text in ("pool", "q", "name", "b", "state", "in sync", "sync", "")]
        other = b"*8\r\n" + b"".join(cells)
        rows = b"*2\r\n" + other + row("b", "syncing", "1 of 2").removeprefix(b"*1\r\n")
        said: list[str] = []
        with canned(b"+OK\r\n", rows, row("b", "in sync")) as (address, _):
            assert sync(Config({"p": pool_of(listen=address)}), "p", "b", said.append, pause=0)

        assert said == ["b: syncing (1 of 2)", "b: in sync"]

    @pytest.mark.parametrize(
        ("users", "name"),
        [
            ([], ""),
            ([User("ops", password=Secret("x"))], ""),
            ([User("default", enabled=False), User("app", commands="+@read", nopass=True), User("ops")], None),
            ([User("default", enabled=False), User("ops", nopass=True, commands="+proxy")], "ops"),
            ([User("default", commands="+@read", nopass=True), User("ops", password=Secret("x"))], "ops"),
            ([User("default", enabled=False), User("ops", digests=(Secret("0" * 64),))], None),
        ],
    )
    def test_who_orders_it(self, users: list[User], name: str | None) -> None:
        """The default user if it may, else one who may and whose password stands in the file, else nobody."""
        pool = replace(pool_of(), users=tuple(users))
        if name is None:
            with pytest.raises(LookupError, match='no user of pool "p" can order it'):
                operator_user(pool)
        else:
            assert operator_user(pool).name == name

    def test_no_listener(self) -> None:
        """Without a way in there is nothing to say."""
        with pytest.raises(LookupError):
            sync(Config({}), "p", "b", print)
