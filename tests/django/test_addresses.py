"""Addresses of nodes, however they are written."""

import pytest

from kidoproxy.config.address import parse_url
from kidoproxy.django.addresses import NodeAddress, parse_node, without_login


@pytest.mark.parametrize(
    ("text", "address", "url"),
    [
        ("cache-a", "cache-a:6379", "redis://cache-a:6379"),
        ("localhost:6380", "localhost:6380", "redis://localhost:6380"),
        (" LOCALHOST:6380 ", "localhost:6380", "redis://localhost:6380"),
        ("[::1]:6380", "[::1]:6380", "redis://[::1]:6380"),
        ("[::1]", "[::1]:6379", "redis://[::1]:6379"),
        ("redis://10.0.0.1", "10.0.0.1:6379", "redis://10.0.0.1:6379"),
        ("redis://10.0.0.1:6380/", "10.0.0.1:6380", "redis://10.0.0.1:6380"),
        ("rediss://cache:6380", "cache:6380", "rediss://cache:6380"),
        ("/run/redis.sock", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix:/run/redis.sock", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_forms(text: str, address: str, url: str) -> None:
    """With or without scheme and port, or a socket: it is what the proxy calls the same node, and its URL."""
    assert parse_node(text) == NodeAddress(address, url)
    assert str(parse_url(url).address) == address


def test_logins_and_databases() -> None:
    """They are told apart from the address, which never has a password."""
    assert parse_node("redis://u:p%40@h:1/3") == NodeAddress("h:1", "redis://h:1", "u", True, 3)
    assert parse_node("u:p@h?db=4") == NodeAddress("h:6379", "redis://h:6379", "u", True, 4)
    assert parse_node("unix://:p@/s?db=2") == NodeAddress("unix:///s", "unix:///s", "", True, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://h", 'the scheme "http"'),
        ("::1:6379", "needs brackets"),
        (":6379", "no host"),
        ("", "no host"),
        ("unix://run/redis", "absolute path"),
        ("h:port", "Port could not be cast"),
    ],
)
def test_mistakes(text: str, why: str) -> None:
    """What is no address is a ValueError that says why."""
    with pytest.raises(ValueError, match=why):
        parse_node(text)


def test_without_login() -> None:
    """Passwords are not for errors."""
    assert without_login("redis://u:p@h:1/2") == "redis://h:1/2"
    assert without_login("unix:///run/s") == "unix:///run/s"
