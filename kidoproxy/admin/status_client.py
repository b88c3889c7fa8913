"""Asks the admin listener of a running proxy for ``/status.json``: for ``kidoproxy top``."""

import http.client
import json
import socket
from dataclasses import replace
from typing import Any, Final

from kidoproxy.config import Address
from kidoproxy.config.secret import Secret

TIMEOUT_SECONDS: Final = 5.0
#: No status is longer.
MAX_BYTES: Final = 64 * 1024 * 1024
#: A listener of all addresses is reached by this one.
WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class StatusRefused(Exception):
    """The listener has answered something else; the text is a sentence."""


class StatusConnection(http.client.HTTPConnection):
    """HTTP to an address, which may be a unix socket."""

    def __init__(self, address: Address) -> None:
        self.address = replace(address, host=WILDCARDS.get(address.host, address.host))
        super().__init__(self.address.host or "localhost", self.address.port or 80, timeout=TIMEOUT_SECONDS)

    def connect(self) -> None:
        if not self.address.is_unix:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self.address.path)


def fetch_status(address: Address, token: Secret) -> dict[str, Any]:
    """The document. OSError, `http.client.HTTPException` or `StatusRefused` when there is none."""
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    connection = StatusConnection(address)
    try:
        connection.request("GET", "/status.json", headers=headers)
        response = connection.getresponse()
        body = response.read(MAX_BYTES)
        if response.status != 200:
            said = body.decode("utf-8", "replace").strip()
            raise StatusRefused(f"{address} answers {response.status} {response.reason}: {said}")
        document: dict[str, Any] = json.loads(body)
        return document
    except ValueError:
        raise StatusRefused(f"{address} is no admin listener of kidoproxy") from None
    finally:
        connection.close()
