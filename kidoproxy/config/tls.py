"""The TLS contexts of listeners and of connections to nodes, from what the configuration has read of their files.

The files are read once, with the configuration that names them, so all workers serve the same, and what was checked
is what is served. OpenSSL takes certificates and keys from files alone: it gets files that exist in memory only.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from kidoproxy.config.model import ListenerTls, Tls
from kidoproxy.config.secret import Secret

#: More than any file has listeners; those of earlier versions of the file are forgotten.
MAX_CONTEXTS: Final = 64


class TlsProblem(ValueError):
    """A file that cannot be used; ``key`` is the setting that names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def read_listener_tls(cert_file: str, key_file: str, client_ca_file: str = "", min_version: str = "1.2") -> ListenerTls:
    """With all that stands in the files. `TlsProblem` when one cannot be read."""
    return ListenerTls(
        cert_file,
        key_file,
        client_ca_file,
        min_version,
        _read("cert_file", cert_file),
        Secret(_read("key_file", key_file).decode("latin-1")),
        _read("client_ca_file", client_ca_file),
    )


@lru_cache(MAX_CONTEXTS)
def listener_context(tls: ListenerTls) -> ssl.SSLContext:
    """What clients are met with. `TlsProblem` when a file is not what it should be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    _load_certificate(context, tls)
    if tls.client_ca_file:
        try:
            with _memory_file(tls.client_ca_pem) as path:
                context.load_verify_locations(path)
        except ssl.SSLError:
            raise TlsProblem("client_ca_file", f"{tls.client_ca_file} holds no certificate in PEM form") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@lru_cache(MAX_CONTEXTS)
def node_context(tls: Tls) -> ssl.SSLContext:
    """How a ``rediss://`` node is trusted. `TlsProblem` when its authorities are not what they should be."""
    try:
        with _memory_file(tls.ca_pem) as path:
            context = ssl.create_default_context(cafile=path if tls.ca_file else None)
    except ssl.SSLError:
        raise TlsProblem("ca_file", f"{tls.ca_file} holds no certificate in PEM form") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_certificate(context: ssl.SSLContext, tls: ListenerTls) -> None:
    asked: list[bool] = []

    def pass_phrase() -> str:
        # Without this OpenSSL would ask for it on the terminal.
        asked.append(True)
        return ""

    try:
        with _memory_file(tls.cert_pem) as cert, _memory_file(tls.key_pem.reveal().encode("latin-1")) as key:
            context.load_cert_chain(cert, key, password=pass_phrase)
    except ssl.SSLError as error:
        if asked:
            raise TlsProblem("key_file", "is encrypted; give a key without a pass phrase") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsProblem("key_file", "does not belong to the certificate") from None
        message = f"{tls.cert_file} and {tls.key_file} are not a certificate and its key in PEM form"
        raise TlsProblem("cert_file", message) from None


@contextmanager
def _memory_file(data: bytes) -> Iterator[str]:
    """The name of a file with this content that is on no disk (memfd_create(2)); gone at the end."""
    fd = os.memfd_create("pem")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _read(key: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes() if file else b""
    except OSError as error:
        raise TlsProblem(key, f"cannot read {file}: {error.strerror}") from None
