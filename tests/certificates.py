"""Certificates for the tests, made with the ``openssl`` program: an authority of their own, and whom it signs."""

import subprocess
from pathlib import Path

from kidoproxy.config import ListenerTls
from kidoproxy.config.tls import read_certificate, read_pem
from tests.needs import needs


class Authority:
    """Signs certificates in ``folder``; ``ca_file`` is its own."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.key = folder / f"{name}-key.pem"
        self.ca_file = folder / f"{name}.pem"
        make_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "3650", "-out", self.ca_file)

    def sign(
        self, file: str, common_name: str = "", names: str = "", days: int = 365, usage: str = "serverAuth,clientAuth"
    ) -> Path:
        """A certificate and its key in one file. ``names``: ``DNS:a.example,URI:urn:a``; -1 days: it has expired."""
        path, request = self.folder / file, self.folder / f"{file}.csr"
        make_key(path)
        openssl("req", "-new", "-key", path, "-subj", f"/CN={common_name}" if common_name else "/", "-out", request)
        extensions = self.folder / f"{file}.ext"
        extensions.write_text(f"extendedKeyUsage={usage}\n" + (f"subjectAltName={names}\n" if names else ""))
        signer: list[str | Path] = ["-CA", self.ca_file, "-CAkey", self.key, "-CAcreateserial", "-days", str(days)]
        signed = openssl("x509", "-req", "-in", request, *signer, "-extfile", extensions)
        with path.open("ab") as out:
            out.write(signed)
        path.chmod(0o600)
        return path


def listener_tls(
    cert_file: str, key_file: str, client_ca_file: str = "", min_version: str = "1.2", **settings: str
) -> ListenerTls:
    """What a configuration with these settings would have."""
    certificates = (read_certificate(cert_file, key_file),)
    return ListenerTls(
        certificates, client_ca_file, min_version, read_pem("client_ca_file", client_ca_file), **settings
    )


def make_key(path: Path) -> None:
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def openssl(*words: str | Path) -> bytes:
    done = subprocess.run([needs("openssl"), *map(str, words)], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
