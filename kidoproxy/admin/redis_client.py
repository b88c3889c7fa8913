"""A redis-py client that tries once, for the control plane: no event loop, nothing of the data path.

Whatever may be wrong with a server becomes one sentence.
"""

import socket
import ssl
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    ResponseError,
)
from redis.retry import Retry

from kidoproxy.config import Address, Secret, Tls
from kidoproxy.resp.errors import sanitize


def connect(
    address: Address, username: str, password: Secret, tls: Tls | None, timeout: float, protocol: int = 2
) -> redis.Redis:
    """A client that tries once and waits no longer than ``timeout`` seconds."""
    options: dict[str, Any] = {
        "username": username or None,
        "password": password.reveal() or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": protocol,
    }
    if address.is_unix:
        return redis.Redis(unix_socket_path=address.path, **options)
    if tls is not None:
        options["ssl"] = True
        options["ssl_ca_certs"] = tls.ca_file or None
        options["ssl_cert_reqs"] = "required" if tls.verify else "none"
        options["ssl_check_hostname"] = tls.verify
        options["ssl_certfile"] = tls.certificate.cert_file if tls.certificate else None
        options["ssl_keyfile"] = tls.certificate.key_file if tls.certificate else None
    client = redis.Redis(host=address.host, port=address.port, **options)
    if tls is not None and tls.server_hostname:
        client.connection_pool.connection_class = NamedConnection
        client.connection_pool.connection_kwargs["server_hostname"] = tls.server_hostname
    return client


class NamedConnection(redis.SSLConnection):
    """One that asks for, and checks, another name than that of the host: redis-py has no option for it."""

    def __init__(self, server_hostname: str, **options: Any) -> None:
        super().__init__(**options)
        self.server_hostname = server_hostname

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        host, self.host = self.host, self.server_hostname
        try:
            return cast(ssl.SSLSocket, super()._wrap_socket_with_ssl(sock))  # type: ignore[no-untyped-call]
        finally:
            self.host = host


def describe_error(error: Exception) -> str:
    """Why a server could not be asked, as what follows its name in a sentence; without addresses."""
    if isinstance(error, AuthenticationError | ResponseError):
        return _describe_refusal(str(error), isinstance(error, AuthenticationError))
    if isinstance(error, BusyLoadingError):
        return "is still loading its data"
    if isinstance(error, InvalidResponse):
        return "what answers there is not Redis"
    if isinstance(error, redis.TimeoutError):
        return "does not answer in time"
    return _describe_connection_error(error)


def _describe_refusal(text: str, is_login: bool) -> str:
    if "without any password" in text:
        return "wants no password, but one is configured"
    if not is_login:
        # A server that does not know AUTH quotes the password.
        return f"says: {sanitize(text.partition(', with args beginning with')[0])}"
    if "required" in text:
        return "wants a password, and none is configured"
    return "refuses the configured user or password"


def _describe_connection_error(error: BaseException) -> str:
    """The system's own words, found under redis-py's; redis-py's if there are none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower().rstrip(".")
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if "closed by server" in text:
        return "closed the connection; what answers there may not be Redis"
    return sanitize(text.splitlines()[0]).rstrip(".").lower() if text else type(error).__name__
