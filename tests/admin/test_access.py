"""Who may see the status: a token where there is one, else this machine, and no page of another site."""

import base64

import pytest

from kidoproxy.admin.access import refusal
from kidoproxy.config.secret import NO_SECRET, Secret

LOCAL = ("127.0.0.1", 5000)


def head(**headers: str) -> bytes:
    """The head of a request."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode("latin-1")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("peer", "host", "is_shown"),
    [
        (LOCAL, "127.0.0.1:9380", True),
        (LOCAL, "localhost", True),
        (LOCAL, "LOCALHOST:9380", True),
        (LOCAL, "", True),
        (("::1", 5000, 0, 0), "[::1]:9380", True),
        (("::ffff:127.0.0.1", 5000, 0, 0), "127.0.0.1", True),
        ("", "whatever", False),
        ("", "localhost", True),
        (LOCAL, "rebound.example:9380", False),
        (LOCAL, "localhost.evil.example", False),
        (LOCAL, "[evil]:80", False),
        (LOCAL, "[::1].evil.example", False),
        (("10.0.0.9", 5000), "127.0.0.1", False),
        (("fe80::1%eth0", 5000, 0, 2), "localhost", False),
    ],
)
def test_without_a_token(peer: object, host: str, is_shown: bool) -> None:
    """The peer is of this machine, and was called by an address or as localhost."""
    found = refusal(head(Host=host), peer, NO_SECRET)
    assert (found is None) is is_shown
    assert found is None or found[0] == "403 Forbidden"


@pytest.mark.parametrize(
    ("authorization", "is_shown"),
    [
        ("Bearer sesame", True),
        ("bearer  sesame", True),
        (basic("anybody", "sesame"), True),
        (basic("", "sesame"), True),
        ("", False),
        ("Bearer", False),
        ("Bearer Sesame", False),
        ("Bearer s\xe9same", False),
        (basic("sesame", ""), False),
        ("Basic ???", False),
        ("Basic /w==", False),
        ("Digest sesame", False),
    ],
)
def test_with_a_token(authorization: str, is_shown: bool) -> None:
    """From wherever, and from here too, it must be shown."""
    for peer in (LOCAL, ("10.0.0.9", 1)):
        found = refusal(head(Authorization=authorization), peer, Secret("sesame"))
        assert (found is None) is is_shown
        assert found is None or found[1].startswith("WWW-Authenticate: Basic")


def test_a_token_in_other_letters() -> None:
    """It is compared as bytes, in UTF-8, by both schemes."""
    token = Secret("sésame")
    bearer = b"GET / HTTP/1.1\r\nAuthorization: Bearer " + "sésame".encode() + b"\r\n\r\n"
    assert refusal(bearer, LOCAL, token) is None
    assert refusal(head(Authorization=basic("any", "sésame")), LOCAL, token) is None
    assert refusal(head(Authorization="Bearer s\xe9same"), LOCAL, token) is not None
