"""The grammar of listeners and of the URLs of nodes."""

import re

import pytest

from kidoproxy.config import Address
from kidoproxy.config.address import parse_listen, parse_url


class TestAddresses:
    """The grammar of listeners and URLs."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("6380", "needs a host and a port"),
            (":6380", "needs a host and a port"),
            ("a:b", 'has the port "b"; a port is a number from 0 to 65535'),
            ("a:65536", 'has the port "65536"'),
            ("a:٣", "has the port"),
            ("::1:6380", "needs brackets"),
            ("a b:1", "has a space"),
            ("tcp://a:1", "is a URL"),
            ("unix:run.sock", "needs an absolute path"),
            ("unix://run.sock", "needs an absolute path"),
            ("unix:///a?db=1", 'has a "?"'),
            ("unix:///" + "x" * 103, "has a path of 104 bytes"),
        ],
    )
    def test_bad_listen(self, text: str, expected: str) -> None:
        """Each misunderstanding of an address has its own sentence."""
        with pytest.raises(ValueError, match=re.escape(expected)):
            parse_listen(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("10.0.0.1:6379", "is not a URL"),
            ("http://h", 'has the scheme "http"'),
            ("redis://", "has no host"),
            ("redis://:6379", "has no host"),
            ("redis://h:0", 'has the port "0"; a port is a number from 1'),
            ("redis://h/1", "a database cannot be part of a node"),
            ("redis://h?db=1", "has a query"),
            ("redis://h#x", "has a query or a fragment"),
            ("redis://:a/b@h", "percent-encoded"),
            ("redis://::1:6379", "needs brackets"),
        ],
    )
    def test_bad_url(self, text: str, expected: str) -> None:
        """Each misunderstanding of a node's URL has its own sentence."""
        with pytest.raises(ValueError, match=re.escape(expected)):
            parse_url(text)

    @pytest.mark.parametrize(
        ("listen", "loopback"),
        [
            ("127.0.0.1:1", True),
            ("127.255.3.4:1", True),
            ("[::1]:1", True),
            ("[0:0:0:0:0:0:0:1]:1", True),
            ("[::ffff:127.0.0.1]:1", True),
            ("localhost:1", True),
            ("LocalHost.:1", True),
            ("unix:///run/s", True),
            ("0.0.0.0:1", False),
            ("[::]:1", False),
            ("[::ffff:0.0.0.0]:1", False),
            ("10.0.0.1:1", False),
            ("128.0.0.1:1", False),
            ("[fe80::1]:1", False),
            ("0:1", False),
            ("localhost.example.com:1", False),
            ("myhost:1", False),
        ],
    )
    def test_loopback(self, listen: str, loopback: bool) -> None:
        """Nobody else can connect; a name may mean anything, but for one."""
        assert parse_listen(listen).is_loopback is loopback

    def test_ipv6_without_port(self) -> None:
        """Brackets end the host, the port may be left out."""
        assert parse_url("redis://[::1]").address == Address("::1", 6379)
