"""A pool's ``tls``, with what stands in the files that it names: how nodes are trusted, and what clients are shown."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kidoproxy.config.model import Certificate, ListenerTls, Pool, Tls
from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.schema import PoolTable
from kidoproxy.config.secret_files import is_world_readable
from kidoproxy.config.tls import (
    TlsProblem,
    certificate_info,
    listener_context,
    node_context,
    read_certificate,
    read_pem,
)

#: Keys that speak of a pool's clients, and of its nodes.
LISTENER_KEYS: Final = (
    *("cert_file", "key_file", "client_ca_file", "auth_clients", "auth_clients_user", "min_version", "ciphers"),
)
NODE_KEYS: Final = ("ca_file", "verify", "node_cert_file", "node_key_file")
#: Those that have a meaning only where clients show certificates.
_OF_CLIENT_CERTIFICATES: Final = ("auth_clients", "auth_clients_user")
#: A certificate that ends so soon is warned of; Let's Encrypt's are renewed 30 days before.
EXPIRES_SOON_SECONDS: Final = 14 * 86_400


class TlsBuilder:
    """Builds both halves; ``folder`` is where relative file names start."""

    def __init__(self, folder: Path, problems: Problems, warn: Callable[[Location, str], None]) -> None:
        self.folder = folder
        self.problems = problems
        self.warn = warn

    def node_tls(self, table: PoolTable, location: Location) -> Tls:
        """How the rediss:// nodes of a pool are trusted, and what they are shown."""
        self._check_meaning(table, location)
        tls = table.tls
        certificate = None
        try:
            if tls.node_cert_file and tls.node_key_file:
                certificate = self._certificate(tls.node_cert_file, tls.node_key_file, "node_", location)
            elif tls.node_cert_file or tls.node_key_file:
                given, missing = ("cert", "key") if tls.node_cert_file else ("key", "cert")
                self._add_missing(f"node_{missing}_file", f"'node_{given}_file'", location)
            ca_file = self._path(tls.ca_file)
            found = Tls(ca_file, tls.verify, certificate, ca_pem=read_pem("ca_file", ca_file))
            if ca_file or certificate:
                node_context(found)
        except TlsProblem as problem:
            self.problems.add((*location, problem.key), str(problem))
            return Tls()
        return found

    def listener_tls(self, table: PoolTable, location: Location) -> ListenerTls | None:
        """What the clients of a pool are shown, and must show; None: they do not speak TLS."""
        tls = table.tls
        given = [key for key in LISTENER_KEYS if key in tls.model_fields_set]
        missing = [key for key in ("cert_file", "key_file") if not getattr(tls, key)] if given else []
        for key in missing:
            self._add_missing(key, " and ".join(map(repr, sorted(set(given) - {key}))), location)
        if not given or missing:
            return None
        for key in _OF_CLIENT_CERTIFICATES if tls.client_ca_file is None else ():
            if key in given:
                self._add_missing("client_ca_file", f"'{key}'", location)
        if len(tls.cert_file) != len(tls.key_file):
            message = f"has {len(tls.key_file)} files, and there are {len(tls.cert_file)} certificates"
            self.problems.add((*location, "key_file"), message)
            return None
        try:
            pairs = zip(tls.cert_file, tls.key_file, strict=True)
            client_ca_file = self._path(tls.client_ca_file)
            found = ListenerTls(
                tuple([self._certificate(cert_file, key_file, "", location) for cert_file, key_file in pairs]),
                client_ca_file,
                tls.min_version,
                read_pem("client_ca_file", client_ca_file),
                tls.auth_clients,
                tls.auth_clients_user,
                tls.ciphers or "",
            )
            listener_context(found)
        except TlsProblem as problem:
            self.problems.add((*location, problem.key), str(problem))
            return None
        return found

    def check_users(self, pool: Pool, location: Location) -> None:
        """Whoever is the user of a certificate could be the default one instead."""
        names_users = pool.listener_tls is not None and pool.listener_tls.auth_clients_user != "off"
        if names_users and any(user.name == "default" and user.enabled and user.nopass for user in pool.all_users()):
            self.warn(
                (*location, "auth_clients_user"),
                "the default user needs no password: by RESET, or with a certificate that names no user who is "
                "enabled, a client is that one; set 'password', or 'enabled = false' for users.default",
            )

    def _certificate(self, cert_file: str, key_file: str, prefix: str, location: Location) -> Certificate:
        certificate = read_certificate(self._path(cert_file), self._path(key_file), prefix)
        not_after = certificate_info(certificate, prefix).not_after
        if not_after < time.time():
            self.warn((*location, f"{prefix}cert_file"), f"{cert_file} has expired on {_date(not_after)}")
        elif not_after < time.time() + EXPIRES_SOON_SECONDS:
            self.warn((*location, f"{prefix}cert_file"), f"{cert_file} expires on {_date(not_after)}")
        if is_world_readable(Path(certificate.key_file)):
            message = f"every user of this machine may read {key_file}; chmod o-r it"
            self.warn((*location, f"{prefix}key_file"), message)
        return certificate

    def _path(self, file: str | None) -> str:
        return str(self.folder / file) if file else ""

    def _add_missing(self, key: str, needed_by: str, location: Location) -> None:
        self.problems.add((*location, key), f"is missing; {needed_by} needs it")

    def _check_meaning(self, table: PoolTable, location: Location) -> None:
        """What would do nothing is a mistake; what is dangerous is warned of."""
        given = table.tls.model_fields_set
        speaks_to_nodes = any(node.url.startswith(("rediss:", "sentinels:")) for node in table.nodes)
        for key in sorted(given.intersection(NODE_KEYS) if not speaks_to_nodes else ()):
            self.problems.add((*location, key), "has no meaning: no node of this pool is rediss:// or sentinels://")
        for key in sorted(given.intersection(LISTENER_KEYS) if not table.listen else ()):
            self.problems.add((*location, key), "has no meaning in a pool without 'listen'")
        if not table.tls.verify:
            self.warn((*location, "verify"), "false: whoever stands between the proxy and a node gets its password")


def _date(timestamp: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(timestamp))
