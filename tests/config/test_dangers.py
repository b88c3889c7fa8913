"""What is dangerous in a file: an open pool that others reach is refused, the rest is a warning."""

from pathlib import Path

import pytest

from kidoproxy.config import Address, ConfigError
from kidoproxy.config.read import embedded_config
from tests.config.files import pool, problems, read

USERS = "[pool.cache.users]\n"
OPEN = [
    "",
    "protected = true",
    USERS + 'alice = { password = "x" }',
    USERS + "default = {}",
    USERS + "default = { nopass = true }",
    USERS + 'default = { commands = "-@all +ping" }',
    USERS + "default = { enabled = false }\nguest = { nopass = true }",
    'password = "x"\n' + USERS + "guest = { nopass = true }",
]
CLOSED = [
    "protected = false",
    'password = "x"',
    USERS + 'default = { enabled = false }\nalice = { password = "x" }',
    USERS + 'default = { password = "x" }',
    USERS + "default = { enabled = false, nopass = true }",
    'password = "x"\n' + USERS + "guest = { nopass = true, enabled = false }",
]
EXPOSED = ['"0.0.0.0:6380"', '"[::]:6380"', '"10.1.2.3:6380"', '"cache:6380"', '["127.0.0.1:6380", "0.0.0.0:6381"]']
OWN = ['"127.0.0.1:6380"', '"127.9.9.9:6380"', '"[::1]:6380"', '"localhost:6380"', '"unix:///run/cache.sock"']


def listening(listen: str, lines: str) -> str:
    return pool(lines).replace('"127.0.0.1:6380"', listen)


@pytest.mark.parametrize("listen", EXPOSED)
@pytest.mark.parametrize("lines", OPEN)
def test_an_open_pool_that_others_reach_is_refused(tmp_path: Path, listen: str, lines: str) -> None:
    """One line, which says which address, and what the ways out are."""
    (line,) = problems(tmp_path, listening(listen, lines))
    assert line.startswith("ring.toml: pool.cache.listen: ")
    assert "protected = false" in line
    assert "'password'" in line


@pytest.mark.parametrize("listen", EXPOSED + OWN)
@pytest.mark.parametrize("lines", CLOSED)
def test_a_pool_with_secrets_may_listen_anywhere(tmp_path: Path, listen: str, lines: str) -> None:
    """And so may one that says it means it."""
    assert read(tmp_path, listening(listen, lines)).pools["cache"].listen


@pytest.mark.parametrize("listen", OWN)
@pytest.mark.parametrize("lines", OPEN)
def test_on_this_machine_a_pool_may_be_open(tmp_path: Path, listen: str, lines: str) -> None:
    """Five lines are all that a first user needs."""
    assert read(tmp_path, listening(listen, lines)).pools["cache"].is_open(Address("0.0.0.0", 1))


def test_pools_without_listeners_need_no_protection(tmp_path: Path) -> None:
    """Nobody connects to them; the setting has no meaning there."""
    below = '[pool.below]\nmode = "ring"\nnodes = ["redis://h"]\n'
    assert read(tmp_path, pool("", nodes='["pool:below"]') + below).pools["below"].is_open(Address("0.0.0.0", 1))
    (line,) = problems(tmp_path, pool("", nodes='["pool:below"]') + below + "protected = false\n")
    assert "'protected' has no meaning in a pool without 'listen'" in line


def test_the_run_without_a_file_is_protected_too() -> None:
    """``kidoproxy serve --listen 0.0.0.0:6380`` would let anybody in."""
    with pytest.raises(ConfigError, match=r"^--listen: pool.local.listen: 0.0.0.0:6380 is reached by other machines"):
        embedded_config("ring", "0.0.0.0:6380", ["redis://h"])


WARNED = [
    (pool("tls = { verify = false }", nodes='["rediss://h"]'), "ring.toml: pool.cache.tls.verify: false: "),
    (pool('password_file = "secret"'), "ring.toml: pool.cache.password_file: every user of this machine may read"),
    (pool("", nodes='[{ url = "redis://h", password_file = "secret" }]'), "ring.toml: pool.cache.nodes[0].password_f"),
    (pool('[pool.cache.users]\na = { password_file = "secret" }'), "ring.toml: pool.cache.users.a.password_file: "),
    (pool('password = "x"'), "ring.toml: has a password in it, and every user of this machine may read it"),
    (pool("", nodes='["redis://:x@h"]'), "ring.toml: has a password in it"),
    (pool("", nodes='["redis://u:a${PW}@h"]'), "ring.toml: has a password in it"),
    (pool('[pool.cache.users]\na = { password = "x" }'), "ring.toml: has a password in it"),
]


@pytest.mark.parametrize(("text", "warning"), WARNED)
def test_what_is_valid_and_dangerous_is_a_warning(tmp_path: Path, text: str, warning: str) -> None:
    """A file that everybody may read with a secret in it, and certificates that nobody looks at."""
    (tmp_path / "secret").write_text("hush")
    (tmp_path / "secret").chmod(0o604)
    (tmp_path / "ring.toml").touch(0o644)
    (found,) = read(tmp_path, text, {"PW": "y"}).warnings
    assert found.startswith(warning)
    assert "hush" not in found


@pytest.mark.parametrize(
    "text",
    [
        pool(""),
        pool('password = "${PW}"'),
        pool("", nodes='["redis://u:${PW}@h", "redis://i"]'),
        pool('together = ["password"]'),
        pool('password_file = "secret"'),
    ],
)
def test_a_file_without_secrets_may_be_read(tmp_path: Path, text: str) -> None:
    """Nor is anything said of a secret that only its owner and his group may read."""
    (tmp_path / "secret").write_text("hush")
    (tmp_path / "secret").chmod(0o640)
    assert read(tmp_path, text, {"PW": "y"}).warnings == ()


def test_a_file_with_secrets_that_others_cannot_read(tmp_path: Path) -> None:
    """Nothing to say."""
    (tmp_path / "ring.toml").touch(0o600)
    assert read(tmp_path, pool('password = "x"')).warnings == ()


BARE = [
    (pool('password = "$PW"'), "pool.cache.password", "PW"),
    (pool('password = "$nobody_has_it"'), "pool.cache.password", "nobody_has_it"),
    (pool('password = "before$NODE_PASSWORD"'), "pool.cache.password", "NODE_PASSWORD"),
    (pool('password = "a${PW}$PW"'), "pool.cache.password", "PW"),
    (pool('password = "x$pw-x"'), "pool.cache.password", "pw"),
    (pool("", nodes='["redis://:$PASS@h"]'), "pool.cache.nodes[0]", "PASS"),
    (pool("", nodes='["redis://$USER:x@h"]'), "pool.cache.nodes[0]", "USER"),
    (pool("", nodes='[{ url = "redis://h", password = "$PASS" }]'), "pool.cache.nodes[0].password", "PASS"),
    (pool("", nodes='[{ url = "rediss://u:$PASS@h" }]'), "pool.cache.nodes[0].url", "PASS"),
    (pool('[pool.cache.users]\na = { password = "$PASS" }'), "pool.cache.users.a.password", "PASS"),
]


@pytest.mark.parametrize(("text", "place", "name"), BARE)
def test_a_variable_without_braces_is_no_secret(tmp_path: Path, text: str, place: str, name: str) -> None:
    """Whoever writes ``$NAME`` means the variable; its name would have been the password."""
    found = problems(tmp_path, text, {"PW": "y", "pw": "z"})
    assert found == [
        f'ring.toml: {place}: has "${name}" without braces; write "${{{name}}}", or put the secret into a file'
    ]


@pytest.mark.parametrize("secret", ["pa$word", "$", "a$", "$1", "$$", "x$Ab", "$${PW}", "cash$", "5$US"])
def test_a_dollar_may_be_a_part_of_a_secret(tmp_path: Path, secret: str) -> None:
    """Only what looks like a variable is taken for one."""
    assert read(tmp_path, pool(f'password = "{secret}"'), {}).pools["cache"].password


@pytest.mark.parametrize("text", [pool('together = ["$PW"]'), pool("", nodes='["redis://h", "unix:///$PW"]')])
def test_where_no_secret_is_wanted_a_dollar_is_a_dollar(tmp_path: Path, text: str) -> None:
    """As it always was."""
    assert read(tmp_path, text, {"PW": "y"}).pools


def test_what_a_variable_holds_is_taken_as_it_is(tmp_path: Path) -> None:
    """A generated password may look like anything."""
    assert read(tmp_path, pool('password = "${PW}"'), {"PW": "$HOME"}).pools["cache"].password.reveal() == "$HOME"


def test_a_ring_over_a_copy(tmp_path: Path) -> None:
    """It may be meant for reading; what it writes the other copies miss, so there is a warning."""
    more = '[pool.b]\nlisten = "127.0.0.1:1"\nmode = "copy"\nnodes = ["redis://x", "redis://y"]\n'
    ring = pool("", nodes='["redis://a", "redis://y:6379"]')
    (line,) = read(tmp_path, ring + more).warnings
    assert line == ("ring.toml: pool.cache.nodes[1]: is a copy of pool.b; writes miss its other copies")
    assert read(tmp_path, pool("", nodes='["redis://a", "pool:b"]') + more).warnings == ()
