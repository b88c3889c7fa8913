"""`kidoproxy.config.tls`: TLS on listeners, and every mistake that its files can hold."""

import ssl
from pathlib import Path

import pytest

from kidoproxy.config.tls import listener_context, node_context
from tests.certificates import listener_tls
from tests.config.files import pool, problems, read

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"
#: Made for these tests: a key of no certificate, and one behind a pass phrase.
OTHER_KEY = Path(__file__).with_name("other-key.pem")
LOCKED_KEY = Path(__file__).with_name("locked-key.pem")
CERT = f'cert_file = "{PEM}"'
KEY = f'key_file = "{PEM}"'


def tls(*settings: str) -> str:
    return pool(f"tls = {{ {', '.join(settings)} }}")


def test_a_certificate_and_its_key(tmp_path: Path) -> None:
    """Names of files begin at the folder of the configuration; TLS 1.2 is the least by default."""
    (tmp_path / "both.pem").write_bytes(PEM.read_bytes())
    (tmp_path / "both.pem").chmod(0o600)
    config = read(tmp_path, tls('cert_file = "both.pem"', 'key_file = "both.pem"'))
    file = str(tmp_path / "both.pem")
    assert config.pools["cache"].listener_tls == listener_tls(file, file)
    assert config.warnings == ()
    context = listener_context(listener_tls(file, file))
    assert (context.minimum_version, context.verify_mode) == (ssl.TLSVersion.TLSv1_2, ssl.CERT_NONE)


def test_certificates_of_clients(tmp_path: Path) -> None:
    """Who has to show one need not have a password, wherever the pool listens."""
    text = tls(CERT, KEY, f'client_ca_file = "{PEM}"', 'min_version = "1.3"').replace("127.0.0.1:6380", "0.0.0.0:6380")
    found = read(tmp_path, text).pools["cache"].listener_tls
    assert found is not None
    context = listener_context(found)
    assert (context.minimum_version, context.verify_mode) == (ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED)


def test_a_key_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    """As a file of a password is."""
    (tmp_path / "both.pem").write_bytes(PEM.read_bytes())
    (tmp_path / "both.pem").chmod(0o644)
    (warning,) = read(tmp_path, tls('cert_file = "both.pem"', 'key_file = "both.pem"')).warnings
    assert warning == ("ring.toml: pool.cache.tls.key_file: every user of this machine may read both.pem; chmod o-r it")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ([CERT], "pool.cache.tls.key_file: is missing; 'cert_file' needs it"),
        ([KEY], "pool.cache.tls.cert_file: is missing; 'key_file' needs it"),
        (['min_version = "1.3"'], "pool.cache.tls.cert_file: is missing; 'min_version' needs it"),
        (
            ['cert_file = "no.pem"', KEY],
            "pool.cache.tls.cert_file: cannot read {missing}",
        ),
        (
            [CERT, 'key_file = "no.pem"'],
            "pool.cache.tls.key_file: cannot read {missing}",
        ),
        (
            [CERT, KEY, 'client_ca_file = "no.pem"'],
            "pool.cache.tls.client_ca_file: cannot read {missing}",
        ),
        (
            ['cert_file = "ring.toml"', KEY],
            f"pool.cache.tls.cert_file: {{folder}}/ring.toml and {PEM} are not a certificate and its key in PEM form",
        ),
        (
            [CERT, KEY, 'client_ca_file = "ring.toml"'],
            "pool.cache.tls.client_ca_file: {folder}/ring.toml holds no certificate in PEM form",
        ),
        (
            [CERT, KEY, 'min_version = "1.1"'],
            'pool.cache.tls.min_version: "1.1" is not known; known are "1.2", "1.3"; did you mean "1.3"?',
        ),
    ],
)
def test_mistakes(tmp_path: Path, settings: list[str], line: str) -> None:
    """Each is a line with its place and its cure."""
    found = problems(tmp_path, tls(*settings))
    assert (
        f"ring.toml: {line.format(folder=tmp_path, missing=f'{tmp_path}/no.pem: No such file or directory')}" in found
    )


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    """Neither of the two files is wrong alone."""
    assert problems(tmp_path, tls(CERT, f'key_file = "{OTHER_KEY}"')) == [
        "ring.toml: pool.cache.tls.key_file: does not belong to the certificate"
    ]


def test_a_key_with_a_pass_phrase(tmp_path: Path) -> None:
    """Nobody is asked for it on a terminal."""
    assert problems(tmp_path, tls(CERT, f'key_file = "{LOCKED_KEY}"')) == [
        "ring.toml: pool.cache.tls.key_file: is encrypted; give a key without a pass phrase"
    ]


def test_a_renewed_certificate_is_another_one(tmp_path: Path) -> None:
    """What was read counts, whatever happens to the file: a context is made of it, and secrets are not shown."""
    file = tmp_path / "both.pem"
    file.write_bytes(PEM.read_bytes())
    old = listener_tls(str(file), str(file))
    file.write_bytes(b"# renewed\n" + PEM.read_bytes())
    new = listener_tls(str(file), str(file))
    file.unlink()
    assert old != new
    assert listener_context(old) is not listener_context(new)
    assert listener_context(new) is listener_context(new)
    assert "PRIVATE" not in repr(new)


def test_authorities_of_nodes(tmp_path: Path) -> None:
    """They are read with the configuration, and a file that has none is a mistake of it."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PEM.read_bytes())
    text = pool('tls = { ca_file = "ca.pem" }', nodes='["rediss://h"]')
    found = read(tmp_path, text).pools["cache"].nodes[0].tls
    assert found is not None
    ca.write_text("nothing")
    assert node_context(found).verify_mode == ssl.CERT_REQUIRED
    assert problems(tmp_path, text) == [f"ring.toml: pool.cache.tls.ca_file: {ca} holds no certificate in PEM form"]


def test_where_it_has_no_meaning(tmp_path: Path) -> None:
    """A pool that nobody connects to shows no certificate; one without rediss:// nodes trusts none."""
    below = f'[pool.below]\nmode = "ring"\nnodes = ["redis://h"]\ntls = {{ {CERT}, {KEY} }}\n'
    assert problems(tmp_path, pool("", nodes='["pool:below"]') + below) == [
        "ring.toml: pool.below.tls.cert_file: has no meaning in a pool without 'listen'",
        "ring.toml: pool.below.tls.key_file: has no meaning in a pool without 'listen'",
    ]
    assert problems(tmp_path, tls(CERT, KEY, "verify = false")) == [
        "ring.toml: pool.cache.tls.verify: has no meaning: no node of this pool is rediss:// or sentinels://"
    ]
