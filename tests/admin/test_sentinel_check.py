"""``kidoproxy check`` of a node that sentinels name: whom most of them name, and what is wrong with the others."""

import socket
from contextlib import ExitStack

import pytest

from kidoproxy.admin.node_check import check_node
from kidoproxy.admin.sentinel_check import NOT_A_SENTINEL, check_sentinels, own_tls
from kidoproxy.config import Address, NodeConfig, Secret, SentinelGroup, Tls
from kidoproxy.resp.encode import array, bulk
from tests.admin.canned import canned, info, pool_of


def group(*addresses: Address) -> SentinelGroup:
    return SentinelGroup("m", addresses, "", Secret(""))


def naming(address: Address) -> bytes:
    return array([bulk(address.host.encode()), bulk(b"%d" % address.port)])


def test_most_of_them_name_the_master() -> None:
    """The node is asked there; the one that names another server, and the one that is gone, are problems."""
    with ExitStack() as stack:
        master, _ = stack.enter_context(canned(*info("redis_version:7.2.4", "role:master")))
        one, _ = stack.enter_context(canned(naming(master)))
        two, _ = stack.enter_context(canned(naming(master)))
        other, _ = stack.enter_context(canned(naming(Address("10.0.0.9", 6379))))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            gone = Address("127.0.0.1", taken.getsockname()[1])
        four = NodeConfig("m", Address(host="h", service="m"), sentinels=group(one, two, other))
        found = check_node(four, pool_of(mode="ring"))

    assert (found.address, found.server) == (master, "redis 7.2.4")
    assert found.sentinels == f"2 of 3 sentinels name {master}"
    assert found.problems == [f"sentinel {other} names 10.0.0.9:6379 instead"]
    lost = check_node(NodeConfig("m", Address(host="h", service="m"), sentinels=group(gone)), pool_of(mode="ring"))
    assert lost.problems == [
        f"sentinel {gone} connection refused",
        "most of its sentinels name no master called m",
    ]
    assert lost.server == ""


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"*-1\r\n", "knows no master called m"),
        (b"+OK\r\n", NOT_A_SENTINEL),
        (array([bulk(b"h"), bulk(b"x")]), NOT_A_SENTINEL),
        (array([bulk(b"h"), b":0\r\n"]), NOT_A_SENTINEL),
        (b"-ERR unknown command 'SENTINEL'\r\n", "says: unknown command 'SENTINEL'"),
    ],
)
def test_who_is_no_sentinel(said: bytes, problem: str) -> None:
    """Or none that watches this master."""
    with canned(said) as (address, _):
        found = check_sentinels(group(address), None, 5.0)

    assert found.problems == [f"sentinel {address} {problem}", "most of its sentinels name no master called m"]
    assert found.master is None


def test_each_sentinel_has_a_name_of_its_own() -> None:
    """What ``server_hostname`` names is the master's certificate."""
    assert own_tls(Tls("ca", False, None, "master.internal", b"pem")) == Tls("ca", False, None, "", b"pem")
