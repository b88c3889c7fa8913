"""The users of a pool as the file has them."""

from pathlib import Path

import pytest

from kidoproxy.config import Secret, UserConfig
from tests.config.files import nodes, pool, problems, read

HEX = "0a041b9462caa4a31bac3567e0b6e6fd9100787db2ab433d96f6d178cabfce90"


def table(lines: str, name: str = "alice", before: str = "") -> str:
    """A pool with one user."""
    return pool(f"{before}\n[pool.cache.users.{name}]\n{lines}")


def user(tmp_path: Path, lines: str, name: str = "alice", before: str = "") -> UserConfig:
    """That user, read."""
    (found,) = read(tmp_path, table(lines, name, before)).pools["cache"].users
    return found


MISTAKES = [
    (table(""), "alice: needs 'password', 'password_file' or 'password_sha256', or 'nopass = true'"),
    (table('password = "x"\npassword_file = "pw"'), "alice: has both 'password' and 'password_file'"),
    (table('password_file = "no"'), "alice.password_file: cannot read no: No such file or directory"),
    (table('password = ""'), "alice.password: is empty"),
    (table('password = "x"\nnopass = true'), "alice: has a password and 'nopass'"),
    (table('password_sha256 = "abc"'), "alice.password_sha256: is no SHA-256 digest: 64 hexadecimal digits"),
    (table(f'password_sha256 = ["{HEX}", "{HEX}0"]'), "alice.password_sha256: is no SHA-256 digest"),
    (table("password_sha256 = 3"), "alice.password_sha256: must be a string or a list of strings"),
    (table('nopass = true\nkeys = "a b"'), "alice.keys[0]: has a space, which a pattern of Redis's ACL cannot have"),
    (table('nopass = true\nkeys = ["a", ""]'), "alice.keys[1]: is empty"),
    (table('nopass = true\nkeys = ["~"]'), 'alice.keys[0]: is not "~pattern", "%R~pattern", "%W~pattern" or'),
    (table('nopass = true\nkeys = ["%X~a"]'), 'alice.keys[0]: is not "~pattern", "%R~pattern", "%W~pattern" or'),
    (table('nopass = true\nchannels = ["&"]'), "alice.channels[0]: is empty"),
    (table("nopass = true\nkeys = 1"), "alice.keys: must be a string or a list of strings, not a whole number"),
    (table('nopass = true\ncommnds = ""'), 'alice.commnds: unknown key; did you mean "commands"?'),
    (
        table('nopass = true\ncommands = "-@dangerous +get"'),
        'alice.commands: begins with "-@dangerous", but nothing is allowed yet; begin with "+@all"',
    ),
    (table("nopass = true", '"a b"'), "a b: a user's name is not empty, and has no spaces"),
    (table("nopass = true", '""'), ": a user's name is not empty, and has no spaces"),
    (
        table('password = "x"', "default", 'password = "y"'),
        "default: says how the default user logs in, and so does the pool's password; keep one",
    ),
    (table("nopass = true", "default", 'password = "y"'), "default: says how the default user logs in, and so does"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    """Each is one line with its place, and shows no password."""
    assert [line for line in problems(tmp_path, text) if f"pool.cache.users.{expected}" in line]


def test_users_are_for_pools_that_listen(tmp_path: Path) -> None:
    """Nobody logs in where nobody connects."""
    text = nodes('"pool:b"') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]\n[pool.b.users.a]\nnopass = true\n'
    assert problems(tmp_path, text) == ["ring.toml: pool.b: 'users' has no meaning in a pool without 'listen'"]


def test_defaults(tmp_path: Path) -> None:
    """Whoever has a password may do everything."""
    assert user(tmp_path, 'password = "x"') == UserConfig("alice", password=Secret("x"))


def test_every_key(tmp_path: Path) -> None:
    """Patterns may be written with or without the signs of Redis's ACL; rules are in lower case from here on."""
    (tmp_path / "pw").write_text("hush\n")
    found = user(
        tmp_path,
        f'password_file = "pw"\npassword_sha256 = "{HEX.upper()}"\nenabled = false\ncommands = "+GET  -@Read"\n'
        'keys = ["a", "~b", "%R~c", "%w~d", "%rW~e", "%R~*"]\nchannels = ["a*", "&b"]',
    )
    assert found == UserConfig(
        "alice",
        False,
        False,
        Secret("hush"),
        (Secret(HEX),),
        "+get -@read",
        (b"~a", b"~b", b"%R~c", b"%W~d", b"~e", b"%R~*"),
        (b"&a*", b"&b"),
    )


def test_a_disabled_user_needs_no_password(tmp_path: Path) -> None:
    """Nobody can log in anyway."""
    assert not user(tmp_path, "enabled = false").enabled


@pytest.mark.parametrize(
    ("lines", "before", "nopass", "password"),
    [
        ('commands = "+@read"', "", True, ""),
        ('commands = "+@read"', 'password = "x"', False, "x"),
        ('password = "x"', "", False, "x"),
        ("nopass = true", "", True, ""),
        (f'password_sha256 = "{HEX}"', "", False, ""),
    ],
)
def test_the_default_user(tmp_path: Path, lines: str, before: str, nopass: bool, password: str) -> None:
    """Its password is the pool's, or its own; without any it is open."""
    found = user(tmp_path, lines, "default", before)
    assert (found.nopass, found.password.reveal()) == (nopass, password)


def test_everybody(tmp_path: Path) -> None:
    """The default user is one of them, whether it has a table or not."""
    text = table("nopass = true", before='password = "x"')
    assert [one.name for one in read(tmp_path, text).pools["cache"].all_users()] == ["default", "alice"]
    assert read(tmp_path, text).pools["cache"].all_users()[0].password == Secret("x")
    assert read(tmp_path, pool("")).pools["cache"].all_users() == (UserConfig("default", nopass=True),)
    listed = read(tmp_path, table("", "default")).pools["cache"]
    assert listed.all_users() == listed.users


def test_never_shown(tmp_path: Path) -> None:
    """Neither a password nor its hash."""
    config = read(tmp_path, table(f'password = "s3cret"\npassword_sha256 = "{HEX}"'))
    assert "s3cret" not in repr(config)
    assert HEX not in repr(config)
