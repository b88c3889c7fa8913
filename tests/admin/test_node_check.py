"""Asking nodes how they are: whatever is wrong is one sentence."""

import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest

from kidoproxy.admin.node_check import check_node, check_nodes, describe_owners, parse_version
from kidoproxy.config import (
    Address,
    Config,
    NodeConfig,
    Pool,
    PoolRef,
    RingOptions,
    Secret,
)
from tests.admin.canned import LIMITS, bulk, canned, info, pool_of


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
        checkup = check_node(NodeConfig("n", address), pool_of())

    assert checkup.problems == [problem]


def test_a_sound_node() -> None:
    """Without problems there is a server, a version and a latency, asked by PING and INFO."""
    with canned(*info("redis_version:7.2.4", "valkey_version:9.1.2", "role:master")) as (address, requests):
        checkup = check_node(NodeConfig("n", address), pool_of())

    assert (checkup.server, checkup.problems) == ("valkey 9.1.2", [])
    assert checkup.latency_ms is not None
    assert b"HELLO" not in b"".join(requests)


def test_an_old_node_on_a_ring() -> None:
    """A ring has no minimum: it only relays."""
    with canned(*info("redis_version:2.8.0")) as (address, _):
        assert check_node(NodeConfig("n", address), pool_of(mode="ring")).problems == []


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
        checkup = check_node(NodeConfig("n", address, password=Secret("hush")), pool_of())

    assert len(checkup.problems) == 1
    assert checkup.problems[0].startswith(problem)
    assert b"hush" in requests[0]


def test_nobody_there() -> None:
    """What the system says is passed on in its words."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert check_node(NodeConfig("n", Address("127.0.0.1", port)), pool_of()).problems == ["connection refused"]
    assert check_node(NodeConfig("n", Address(path="/no/such")), pool_of()).problems == ["no such file or directory"]
    (problem,) = check_node(NodeConfig("n", Address("name.invalid", 1)), pool_of()).problems
    assert "name" in problem


def test_silence() -> None:
    """A listener that never answers costs no more than the pool's timeout."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        node = NodeConfig("n", Address("127.0.0.1", mute.getsockname()[1]))

        assert check_node(node, pool_of(timeout=0.05)).problems == ["does not answer in time"]


def test_all_pools() -> None:
    """All nodes of all pools are asked, and found under their pool."""
    with canned(*info("redis_version:7.0.0")) as (a, _), canned(*info("redis_version:7.0.1")) as (b, _):
        found = check_nodes(Config({"p": pool_of(NodeConfig("a", a)), "q": pool_of(NodeConfig("b", b), name="q")}))

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
                    replace(member, address=places[member.name]) if isinstance(member, NodeConfig) else member
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
    a, b, c = (NodeConfig(name, Address(name, 1)) for name in "abc")
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


NOPERM = b"-NOPERM this user has no permissions\r\n"


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
    first, second = (canned(*info("redis_version:7.0.0"), databases_of(count) + NOPERM) for count in counts)
    with first as (a, _), second as (b, _):
        found = check_nodes(Config({"p": pool_of(NodeConfig("a", a), NodeConfig("b", b))}))

    assert [checkup.problems for checkup in found["p"]] == problems


def clients_of(*names: str) -> bytes:
    """The reply to CLIENT LIST."""
    return bulk("".join(f"id=1 addr=h:1 name={name} age=0\n" for name in names))


def test_who_serves() -> None:
    """The proxy that serves copies is found; two of them are a problem of each node that has one."""
    one, other = (f"kidoproxy-owner:0:1:{proxy}:m:{pid}:1:host:p" for proxy, pid in (("x", 7), ("y", 8)))
    claim = one.replace("owner", "claim")
    problem = "the copies are served by process 7 on host and process 8 on host; run one proxy for them"
    cases = [
        ((one, other), [[problem], [problem]]),
        ((one, one), [[], []]),
        ((one, claim), [[], []]),
        ((one, ""), [[], []]),
    ]
    for names, problems in cases:
        first, second = (canned(*info("redis_version:7.0.0"), NOPERM + clients_of("", name, "web")) for name in names)
        with first as (a, _), second as (b, _):
            found = check_nodes(Config({"p": pool_of(NodeConfig("a", a), NodeConfig("b", b))}))["p"]
        assert [checkup.problems for checkup in found] == problems
        assert [mark.process() for mark in found[0].owners] == ["process 7 on host"]


def test_who_serves_and_is_silent() -> None:
    """The node that has heard it last counts."""
    owner = "kidoproxy-owner:0:1:x:m:7:1:host:p idle={}"
    for idle, shown in (((70, 3), "process 7 on host"), ((70, 9), "process 7 on host, it has sent nothing for 9 s")):
        first, second = (canned(*info("redis_version:7.0.0"), NOPERM + clients_of(owner.format(at))) for at in idle)
        with first as (a, _), second as (b, _):
            found = check_nodes(Config({"p": pool_of(NodeConfig("a", a), NodeConfig("b", b))}))["p"]
        (line,) = describe_owners(found)
        assert line.startswith(shown)
        assert ("sent nothing" in line) is ("sent nothing" in shown)


def test_versions() -> None:
    """Versions are compared by numbers, not as text."""
    assert parse_version("6.10.1") > parse_version("6.2.9")
    assert parse_version("7.9.240-beta") == (7, 9, 0)
