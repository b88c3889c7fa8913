"""`kidoproxy.config.tls_build`: what a pool's ``tls`` says about clients and nodes, and every mistake in it."""

import ssl
from pathlib import Path

import pytest

from kidoproxy.config.tls import certificate_info, listener_context, node_context
from tests.certificates import Authority
from tests.config.files import pool, problems, read

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"
CERT = f'cert_file = "{PEM}", key_file = "{PEM}"'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls(settings: str, listen: str = '"127.0.0.1:6380"') -> str:
    return pool(f"tls = {{ {settings} }}").replace('"127.0.0.1:6380"', listen)


def test_several_certificates(tmp_path: Path, authority: Authority) -> None:
    """Each has its key, and all are served by one context."""
    files = [authority.sign(f"{name}.pem", names=f"DNS:{name}.example") for name in ("a", "b")]
    both = ", ".join(f'"{file}"' for file in files)
    found = read(tmp_path, tls(f"cert_file = [{both}], key_file = [{both}]")).pools["cache"].listener_tls
    assert found is not None
    assert [certificate_info(certificate).names for certificate in found.certificates] == [
        ("a.example",),
        ("b.example",),
    ]
    assert listener_context(found).sni_callback is not None


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (f'cert_file = ["{PEM}", "{PEM}"], key_file = "{PEM}"', "key_file: has 1 files, and there are 2 certificates"),
        (f'{CERT}, auth_clients = "optional"', "client_ca_file: is missing; 'auth_clients' needs it"),
        (f'{CERT}, auth_clients_user = "CN"', "client_ca_file: is missing; 'auth_clients_user' needs it"),
        (f'{CERT}, ciphers = "NONSENSE"', 'ciphers: "NONSENSE" names no cipher that OpenSSL knows'),
        ('ciphers = "ECDHE+AESGCM"', "cert_file: is missing; 'ciphers' needs it"),
        (
            f'{CERT}, node_cert_file = "{PEM}"',
            "node_cert_file: has no meaning: no node of this pool is rediss:// or sentinels://",
        ),
    ],
)
def test_mistakes(tmp_path: Path, settings: str, line: str) -> None:
    """Each is a line with its place and its cure."""
    assert f"ring.toml: pool.cache.tls.{line}" in problems(tmp_path, tls(settings))


def nodes_with(settings: str, node: str = '"rediss://h"') -> str:
    return pool(f"tls = {{ {settings} }}", nodes=f"[{node}]")


def test_what_nodes_are_shown(tmp_path: Path, authority: Authority) -> None:
    """A certificate made for clients alone will do, and is loaded."""
    file = authority.sign("client.pem", "proxy", usage="clientAuth")
    text = nodes_with(f'node_cert_file = "{file}", node_key_file = "{file}"')
    found = read(tmp_path, text).pools["cache"].nodes[0].tls
    assert found is not None
    assert found.certificate is not None
    assert found.certificate.cert_file == str(file)
    assert node_context(found) is node_context(found)
    assert node_context(found).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("given", ["cert", "key"])
def test_half_of_what_nodes_are_shown(tmp_path: Path, given: str) -> None:
    """A certificate without its key, or the other way round."""
    missing = {"cert": "key", "key": "cert"}[given]
    assert problems(tmp_path, nodes_with(f'node_{given}_file = "{PEM}"')) == [
        f"ring.toml: pool.cache.tls.node_{missing}_file: is missing; 'node_{given}_file' needs it"
    ]


def test_a_certificate_of_another_purpose(tmp_path: Path, authority: Authority) -> None:
    """Clients would refuse one that is made for clients, nodes one that is made for servers."""
    client, server = (authority.sign(f"only-{usage}.pem", usage=usage) for usage in ("clientAuth", "serverAuth"))
    (line,) = problems(tmp_path, tls(f'cert_file = "{client}", key_file = "{client}"'))
    assert f"pool.cache.tls.cert_file: {client} would be accepted by nobody: " in line
    (line,) = problems(tmp_path, nodes_with(f'node_cert_file = "{server}", node_key_file = "{server}"'))
    assert line.startswith("ring.toml: pool.cache.tls.node_cert_file: ")


def test_the_name_of_a_node(tmp_path: Path) -> None:
    """It is asked for and checked in place of the host; where there is no TLS it has no meaning."""
    node = '{ url = "rediss://10.0.0.1", server_hostname = "a.example" }'
    found = read(tmp_path, nodes_with("verify = true", node)).pools["cache"].nodes[0].tls
    assert found is not None
    assert found.server_hostname == "a.example"
    plain = pool("", nodes='[{ url = "redis://10.0.0.1", server_hostname = "a.example" }]')
    (line,) = problems(tmp_path, plain)
    assert line.endswith("'server_hostname' has no meaning: the node is not rediss://")


@pytest.mark.parametrize(("days", "verb"), [(-1, "has expired on"), (5, "expires on"), (300, "")])
def test_the_end_of_a_certificate(tmp_path: Path, authority: Authority, days: int, verb: str) -> None:
    """An operator is told before clients refuse it; it is served all the same."""
    file = authority.sign(f"days{days}.pem", days=days)
    config = read(tmp_path, tls(f'cert_file = "{file}", key_file = "{file}"'))
    assert [f"{file} {verb} " in warning for warning in config.warnings] == ([True] if verb else [])


def test_a_plain_listener_beside(tmp_path: Path) -> None:
    """A certificate that TLS wants of everybody protects nobody on the plain port."""
    settings = f'{CERT}, client_ca_file = "{PEM}"'
    config = read(tmp_path, tls(settings, '["0.0.0.0:6390", "redis://127.0.0.1:6380"]'))
    assert [address.plain for address in config.pools["cache"].listen] == [False, True]
    (line,) = problems(tmp_path, tls(settings, '["0.0.0.0:6390", "redis://0.0.0.0:6380"]'))
    assert line.startswith("ring.toml: pool.cache.listen: 0.0.0.0:6380 is reached by other machines")
    (line,) = problems(tmp_path, tls(f'{settings}, auth_clients = "optional"', '"0.0.0.0:6390"'))
    assert line.startswith("ring.toml: pool.cache.listen: 0.0.0.0:6390 is reached by other machines")


def test_users_of_certificates(tmp_path: Path) -> None:
    """They need no password where a certificate names them, and then no password logs them in."""
    user = "[pool.cache.users]\nann = { keys = 'a:*' }\n"
    settings = f'{CERT}, client_ca_file = "{PEM}"'
    config = read(tmp_path, tls(f'{settings}, auth_clients_user = "CN"') + user)
    (ann,) = config.pools["cache"].users
    told = "ring.toml: pool.cache.tls.auth_clients_user: the default user needs no password: by RESET"
    assert [warning for warning in config.warnings if warning.startswith(told)]
    for closed in ("default = { enabled = false }\n", "default = { password = 'x' }\n"):
        config = read(tmp_path, tls(f'{settings}, auth_clients_user = "CN"') + user + closed)
        assert not [warning for warning in config.warnings if warning.startswith(told)]
    assert (ann.nopass, bool(ann.password), ann.digests) == (False, False, ())
    (line,) = problems(tmp_path, tls(settings) + user)
    assert "pool.cache.users.ann: needs 'password'" in line
