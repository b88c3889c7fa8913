"""The TLS context of a listener. Its files are read once, when the configuration is: all workers serve the same."""

import ssl
from functools import cache

from kidoproxy.config.model import ListenerTls


class TlsProblem(ValueError):
    """A file that cannot be used; ``key`` is the setting that names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@cache
def listener_context(tls: ListenerTls) -> ssl.SSLContext:
    """What clients are met with. `TlsProblem` when a file cannot be read, or is not what it should be."""
    for key, file in (("cert_file", tls.cert_file), ("key_file", tls.key_file), ("client_ca_file", tls.client_ca_file)):
        _check_readable(key, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    _load_certificate(context, tls)
    if tls.client_ca_file:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except ssl.SSLError:
            raise TlsProblem("client_ca_file", f"{tls.client_ca_file} holds no certificate in PEM form") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_certificate(context: ssl.SSLContext, tls: ListenerTls) -> None:
    asked: list[bool] = []

    def pass_phrase() -> str:
        # Without this OpenSSL would ask for it on the terminal.
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=pass_phrase)
    except ssl.SSLError as error:
        if asked:
            raise TlsProblem("key_file", "is encrypted; give a key without a pass phrase") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsProblem("key_file", "does not belong to the certificate") from None
        message = f"{tls.cert_file} and {tls.key_file} are not a certificate and its key in PEM form"
        raise TlsProblem("cert_file", message) from None


def _check_readable(key: str, file: str) -> None:
    try:
        if file:
            open(file, "rb").close()
    except OSError as error:
        raise TlsProblem(key, f"cannot read {file}: {error.strerror}") from None
