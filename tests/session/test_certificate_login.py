"""`kidoproxy.session.certificate_login`: who a client is whose certificate names users."""

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.session.certificate_login import log_in_by_certificate
from kidoproxy.session.incidents import CERTIFICATE_REFUSED
from kidoproxy.session.session import ClientSession
from kidoproxy.session.users import User, Users
from tests.session.stage import ring


@pytest.mark.parametrize(
    ("names", "user", "refused"),
    [
        ([b"ann"], b"ann", 0),
        ([b"nobody", b"ann"], b"ann", 0),
        ([b"nobody"], b"default", 1),
        ([b"ann\0"], b"default", 1),
        ([b"off"], b"default", 1),
        ([], b"default", 0),
    ],
)
def test_who_it_is(names: list[bytes], user: bytes, refused: int) -> None:
    """The first user who is there and enabled, whatever his password; else as without a certificate, and counted."""
    stage = ring("a")
    stage.pool.users = Users([User(b"ann", Acl("+get"), True, False, []), User(b"off", Acl(), False, True, [])])
    session = ClientSession(stage.proxy, stage.pool, "192.0.2.1:5", "")
    log_in_by_certificate(session, names)
    assert session.user.name == user
    assert session.needs_acl == (user == b"ann")
    assert stage.proxy.incidents.total(CERTIFICATE_REFUSED, stage.pool.name) == refused


def test_it_need_not_log_in() -> None:
    """Where the default user has a password, a certificate will do in its place."""
    stage = ring("a")
    stage.pool.users = Users([User(b"ann", Acl(), True, False, []), User(b"default", Acl(), True, False, [b"0" * 64])])
    session = ClientSession(stage.proxy, stage.pool, "192.0.2.1:5", "")
    before = session.authed
    log_in_by_certificate(session, [b"ann"])
    assert (before, session.authed, session.fast_path) == (False, True, True)
