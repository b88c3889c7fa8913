"""The TLS contexts of listeners and of connections to nodes, from what the configuration has read of their files.

The files are read once, with the configuration that names them, so all workers serve the same, and what was checked
is what is served. OpenSSL takes certificates and keys from files alone: it gets files that exist in memory only.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from kidoproxy.config.model import Certificate, ListenerTls, Tls
from kidoproxy.config.secret import Secret

#: More than any file has listeners; those of earlier versions of the file are forgotten.
MAX_CONTEXTS: Final = 64
#: X509_V_FLAG_NO_CHECK_TIME of OpenSSL.
_NO_CHECK_TIME: Final = 0x200000


class TlsProblem(ValueError):
    """A file that cannot be used; ``key`` is the setting that names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What stands in a certificate: the names of hosts, in lower case, and the second since 1970 at which it ends."""

    names: tuple[str, ...]
    not_after: float


def read_certificate(cert_file: str, key_file: str, prefix: str = "") -> Certificate:
    """With what stands in the files. `TlsProblem` when one cannot be read; ``prefix`` is that of the settings' keys."""
    cert_pem = read_pem(f"{prefix}cert_file", cert_file)
    return Certificate(cert_file, key_file, cert_pem, Secret(read_pem(f"{prefix}key_file", key_file).decode("latin-1")))


def read_pem(key: str, file: str) -> bytes:
    """What stands in the file that the setting ``key`` names; nothing if it names none."""
    try:
        return Path(file).read_bytes() if file else b""
    except OSError as error:
        raise TlsProblem(key, f"cannot read {file}: {error.strerror}") from None


@lru_cache(MAX_CONTEXTS)
def listener_context(tls: ListenerTls) -> ssl.SSLContext:
    """What clients are met with. `TlsProblem` when a file is not what it should be."""
    contexts = [_server_context(tls, certificate) for certificate in tls.certificates]
    if len(contexts) == 1:
        return contexts[0]
    by_name: dict[str, ssl.SSLContext] = {}
    for certificate, context in zip(tls.certificates, contexts, strict=True):
        for name in certificate_info(certificate).names:
            by_name.setdefault(name, context)

    def choose(connection: Any, name: str | None, default: ssl.SSLContext) -> None:
        # A name that no certificate has is met with the first one, which the client may well refuse.
        wanted = (name or "").lower().rstrip(".")
        connection.context = by_name.get(wanted) or by_name.get(f"*.{wanted.partition('.')[2]}") or default

    contexts[0].sni_callback = choose
    return contexts[0]


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
    if tls.certificate is not None:
        _load_certificate(context, tls.certificate, "node_")
    return context


@lru_cache(MAX_CONTEXTS)
def certificate_info(certificate: Certificate, prefix: str = "") -> CertificateInfo:
    """What stands in the first certificate of the file. `TlsProblem` when it cannot be loaded.

    The ssl module takes no certificate apart that it has not been shown: it is shown it in memory, by a server, or by
    a client if it is for nodes.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (server, client):
        _load_certificate(context, certificate, prefix)
    reader = server if prefix else client
    reader.verify_mode = ssl.CERT_REQUIRED
    reader.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        with _memory_file(certificate.cert_pem) as path:
            reader.load_verify_locations(path)
        found: dict[str, Any] = _shown_certificate(server, client, reader)
    except ssl.SSLCertVerificationError as error:
        # One made for clients only, say.
        message = f"{certificate.cert_file} would be accepted by nobody: {error.verify_message}"
        raise TlsProblem(f"{prefix}cert_file", message) from None
    names = [name for kind, name in found.get("subjectAltName", ()) if kind == "DNS"]
    # A certificate without alternative names is one for its common name, see RFC 6125.
    names = names or [value for part in found["subject"] for key, value in part if key == "commonName"]
    return CertificateInfo(tuple([name.lower() for name in names]), ssl.cert_time_to_seconds(found["notAfter"]))


def _shown_certificate(server: ssl.SSLContext, client: ssl.SSLContext, reader: ssl.SSLContext) -> dict[str, Any]:
    """What the side of ``reader`` sees of the other's certificate: one handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, answering, asking, answering):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return (answering if reader is server else asking).getpeercert() or {}


def _server_context(tls: ListenerTls, certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    # Each costs a handshake, and a client asks for it as often as it likes.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if tls.ciphers:
        try:
            context.set_ciphers(tls.ciphers)
        except ssl.SSLError:
            raise TlsProblem("ciphers", f'"{tls.ciphers}" names no cipher that OpenSSL knows') from None
    _load_certificate(context, certificate)
    if tls.client_ca_file:
        try:
            with _memory_file(tls.client_ca_pem) as path:
                context.load_verify_locations(path)
        except ssl.SSLError:
            raise TlsProblem("client_ca_file", f"{tls.client_ca_file} holds no certificate in PEM form") from None
        context.verify_mode = ssl.CERT_REQUIRED if tls.wants_every_certificate else ssl.CERT_OPTIONAL
    return context


def _load_certificate(context: ssl.SSLContext, certificate: Certificate, prefix: str = "") -> None:
    asked: list[bool] = []

    def pass_phrase() -> str:
        # Without this OpenSSL would ask for it on the terminal.
        asked.append(True)
        return ""

    key_pem = certificate.key_pem.reveal().encode("latin-1")
    try:
        with _memory_file(certificate.cert_pem) as cert, _memory_file(key_pem) as key:
            context.load_cert_chain(cert, key, password=pass_phrase)
    except ssl.SSLError as error:
        if asked:
            raise TlsProblem(f"{prefix}key_file", "is encrypted; give a key without a pass phrase") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsProblem(f"{prefix}key_file", "does not belong to the certificate") from None
        files = f"{certificate.cert_file} and {certificate.key_file}"
        raise TlsProblem(f"{prefix}cert_file", f"{files} are not a certificate and its key in PEM form") from None


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
