"""What the configuration says reaches the connections and the sessions."""

import ssl
from pathlib import Path

import pytest

from kidoproxy.net.from_config import connect_target, connection_options, session_user
from kidoproxy.session.users import password_digest
from tests.config.files import read


@pytest.mark.parametrize(("verify", "mode"), [("true", ssl.CERT_REQUIRED), ("false", ssl.CERT_NONE)])
def test_targets_and_options(tmp_path: Path, verify: str, mode: ssl.VerifyMode) -> None:
    """What the configuration says about a node reaches its connections: where, as whom, how patiently, how trusted."""
    pool = '[pool.cache]\nlisten = "127.0.0.1:0"\nmode = "ring"\n'
    pool += 'nodes = ["rediss://user:secret@node.example:6390"]\n'
    pool += f"timeout_ms = 250\nconnect_timeout_ms = 750\ntls = {{ verify = {verify} }}\n"
    pool_of = read(tmp_path, pool).pools["cache"]
    target, login = connect_target(pool_of.nodes[0], pool_of), connection_options(pool_of.nodes[0], pool_of)
    assert (target.host, target.port, target.path, target.connect_timeout) == ("node.example", 6390, "", 0.75)
    assert target.tls is not None
    assert target.tls.verify_mode == mode
    assert target.tls.check_hostname is (verify == "true")
    assert (login.login.user, login.login.password, login.timeout) == ("user", "secret", 0.25)


def test_users(tmp_path: Path) -> None:
    """What the configuration says about users reaches the sessions; of their passwords the hashes alone."""
    text = '[pool.cache]\nlisten = "127.0.0.1:0"\nmode = "ring"\nnodes = ["redis://h"]\npassword = "hush"\n'
    text += (
        f'users.alice = {{ password = "a", password_sha256 = "{password_digest(b"b").decode()}", commands = "+get" }}\n'
    )
    text += 'users.bob = { enabled = false, nopass = true, keys = ["k*"], channels = ["c*"] }\n'
    default, alice, bob = [session_user(user) for user in read(tmp_path, text).pools["cache"].all_users()]

    assert (default.name, default.needs_no_login, default.unrestricted, default.password_hashes) == (
        b"default",
        False,
        True,
        [password_digest(b"hush")],
    )
    assert (alice.name, alice.password_hashes) == (b"alice", [password_digest(b"a"), password_digest(b"b")])
    assert (alice.enabled, alice.nopass, alice.acl.format_commands()) == (True, False, b"-@all +get")
    assert (bob.enabled, bob.nopass, bob.password_hashes) == (False, True, [])
    assert (bob.acl.format_keys(), bob.acl.format_channels()) == (b"~k*", b"&c*")
