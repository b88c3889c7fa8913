"""Who may see the status: it names keys and commands of clients, which health checks and metrics do not.

With a token (``admin_token_file``) whoever shows it, as the password of HTTP's Basic scheme, under any name, or as a
Bearer token. Without one, only programs of this machine; and, so that no page of another site can ask through
somebody's browser, only by an address or as ``localhost``.
"""

import base64
import binascii
import hmac
import ipaddress
from typing import Final

from kidoproxy.config.secret import Secret

CHALLENGE: Final = 'WWW-Authenticate: Basic realm="kidoproxy", charset="UTF-8"\r\n'
LOCAL_NAMES: Final = ("", "localhost")


def parse_headers(head: bytes) -> dict[str, str]:
    """The headers of a request by their names in lower case; of one that comes twice the last."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


def shows_token(authorization: str, token: Secret) -> bool:
    """Whether the header ``Authorization`` has the token."""
    scheme, _, value = authorization.partition(" ")
    # The bytes that were sent: `parse_headers` has made one letter of each.
    shown = value.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(shown, token.reveal().encode())


def is_local_peer(peer: object) -> bool:
    """Whether a socket's other end is of this machine; unix sockets have no address."""
    if not isinstance(peer, tuple):
        return True
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_local_name(host: str) -> bool:
    """Whether the header ``Host`` names this machine by an address or as localhost: no name of another site does."""
    name, _, behind = host[1:].partition("]") if host.startswith("[") else host.partition(":")
    if host.startswith("[") and behind[:1] not in ("", ":"):
        return False
    if name.lower() in LOCAL_NAMES:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def refusal(head: bytes, peer: object, token: Secret) -> tuple[str, str, bytes] | None:
    """Why the status is not shown: status line, a header, a sentence; None if it is."""
    headers = parse_headers(head)
    if token:
        if shows_token(headers.get("authorization", ""), token):
            return None
        return "401 Unauthorized", CHALLENGE, b"the token of admin_token_file is needed, as the password\n"
    if is_local_peer(peer) and is_local_name(headers.get("host", "")):
        return None
    return (
        "403 Forbidden",
        "",
        b"without a token (admin_token_file) the status is shown on this machine only: "
        b"ask 127.0.0.1 or localhost from there\n",
    )
