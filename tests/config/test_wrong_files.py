"""Files as people write them by mistake (other programs' formats, typing errors): each gets one line with a cure."""

from pathlib import Path

import pytest

from kidoproxy.config.read import load
from kidoproxy.resp.errors import ConfigError
from tests.config.files import RING as WITH_BLANK

RING = WITH_BLANK.lstrip()
NODES = '["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]'
KNOWN = '"sentinel", "sentinels" and "unix"'


def listen(value: str) -> str:
    """The file with another ``listen``."""
    return RING.replace('"127.0.0.1:6380"', value, 1)


def nodes(value: str) -> str:
    """The file with other ``nodes``."""
    return RING.replace(NODES, value, 1)


def node(url: str) -> str:
    """The file with another second node."""
    return nodes(f'["redis://10.0.0.1:6379", "{url}"]')


def more(line: str) -> str:
    """The file with a line more in its pool."""
    return RING + line + "\n"


def proxy(line: str) -> str:
    """The file with a line in ``[proxy]``."""
    return "[proxy]\n" + line + "\n" + RING


#: The file, how its line begins if it is long, and how it ends.
# fmt: off
SHAPES: list[tuple[str | bytes, str, str]] = [
    (b"\xef\xbb\xbf"+RING.encode(), "", "begins with a byte order mark; save it as UTF-8 without BOM"),
    (RING.encode("utf-16"), "", "is UTF-16; save it as UTF-8"),
    (RING.encode()+"# \xfc".encode("latin-1"), "", "line 5: is not TOML: byte 114 is not UTF-8; save it as UTF-8"),
    ("", "", "is empty; kidoproxy config > FILE writes one to begin with"),
    (" \n\n", "", "is empty; kidoproxy config > FILE writes one to begin with"),
    ("# x\n", "", "pool: there is no pool; the file needs at least one [pool.NAME] table"),
    (
        "pool:\n  cache:\n    listen: 127.0.0.1:6380\n    mode: ring\n",
        "", "is YAML, not TOML; kidoproxy config > FILE writes one to begin with",
    ),
    (
        "alpha:\n  listen: 127.0.0.1:22121\n  hash: fnv1a_64\n  redis: true\n  servers:\n   - 127.0.0.1:6379:1\n",
        "", "not TOML; kidoproxy import FILE makes a configuration of it",
    ),
    (
        '{"pool": {"cache": {"listen": "127.0.0.1:6380"}}}',
        "", "is JSON, not TOML; kidoproxy config > FILE writes one to begin with",
    ),
    ('[{"a": 1}]', "", "is JSON, not TOML; kidoproxy config > FILE writes one to begin with"),
    ("port 6379\nbind 127.0.0.1\n", "", "server, not TOML; kidoproxy config > FILE writes one to begin with"),
    (
        "[cache]\nlisten: 127.0.0.1\n",
        "line 2, column 7", 'after a key in a key/value pair; write key = "value", not key: value',
    ),
    ('CACHES = {\n  "default": {}}\n', "", "is Python, not TOML; kidoproxy import FILE makes a configuration of it"),
    ("<a/>", "", "line 1, column 1: is not TOML: invalid statement"),
    (b"\x7fELF\x00\x01", "", "is no text; kidoproxy config > FILE writes one to begin with"),
    (b"PK\x03\x04\x00\x00", "", "is no text; kidoproxy config > FILE writes one to begin with"),
    (
        "frontend redis\n  bind *:6379\n",
        "line 1, column 10", 'expected \'=\' after a key in a key/value pair; write key = "value"',
    ),
    (RING.replace("pool.cache","cache"), "", "cache: is a pool at the wrong place; write [pool.cache]"),
    (
        RING+RING.replace("pool.cache","sessions").replace("6380","6381"),
        "", "sessions: is a pool at the wrong place; write [pool.sessions]",
    ),
    (RING.replace("pool.","pools."), "", 'pools: unknown key; did you mean "pool"?'),
    (
        RING.replace("[pool.cache]",'[[pool]]\nname="cache"'),
        "", "pool: must be a table, not a list; write [pool.NAME], and not [[pool]]",
    ),
    (RING.replace("[pool.cache]","[pool]"), "", "pool: has no name; write [pool.NAME] instead of [pool]"),
    (RING.replace("[pool.cache]\n",""), "", "mode, nodes stand outside of any pool; write a line [pool.NAME] above"),
    ("[proxy]\nworkers = 2\n", "", "pool: there is no pool; the file needs at least one [pool.NAME] table"),
    ("workers = 2\n"+RING, "", "workers: belongs under a line [proxy]"),
    (RING.replace("pool.","Pool."), "", 'Pool: unknown key; did you mean "pool"?'),
    (
        "[proxy.pool.cache]\n"+RING.split("\n",1)[1],
        "", "proxy.pool: is at the wrong place; write [pool.NAME], without proxy",
    ),
    (
        RING.replace("pool.cache",'pool."my cache"'),
        "", "pool.my cache: a pool's name has only letters, digits, - and _",
    ),
    (RING.replace("pool.cache",'pool.""'), "", "pool.: a pool's name has only letters, digits, - and _"),
    (RING+RING, "", "line 5, column 12: is not TOML: the table [pool.cache] is there twice"),
    (more('hash = "md5"'), "pool.cache.hash", '"jenkins", "hsieh"; did you mean "ketama"?'),
    (more('hash = "sha1"'), 'pool.cache.hash: "sha1" is not known; known are "ketama"', '"jenkins", "hsieh"'),
    (more('hash = "modula"'), 'pool.cache.hash: "modula" is not known; known are "ketama"', '"jenkins", "hsieh"'),
    (
        more('hash = "consistent"'),
        "pool.cache.hash", '"jenkins", "hsieh"; did you mean "ketama"?',
    ),
    (more('distribution = "ketama"'), "", 'pool.cache.distribution: unknown key; mode = "ring" is ketama'),
    (more('hash_tag = "{}"'), "", 'pool.cache.hash_tag: unknown key; it is called "tags" here'),
    (
        more('auto_eject_hosts = true'),
        "pool.cache.auto_eject_hosts", 'key; on_down = "miss" makes misses of the keys of a node that is down',
    ),
    (RING.replace("nodes","servers"), "", 'pool.cache.servers: unknown key; it is called "nodes" here'),
    (more('timeout = 400'), "", 'pool.cache.timeout: unknown key; it is called "timeout_ms" here'),
    (more("redis = true"), "", "pool.cache.redis: unknown key; every pool is for Redis; take it out"),
    (more('redis_auth = "x"'), "", 'pool.cache.redis_auth: unknown key; it is called "password" here'),
    (more('hsah = "ketama"'), "", 'pool.cache.hsah: unknown key; did you mean "hash"?'),
    (
        more('hash = "KETAMA"'),
        "pool.cache.hash", '"jenkins", "hsieh"; did you mean "ketama"?',
    ),
    (more('hash = 5'), "pool.cache.hash", '"jenkins", "hsieh", not a whole number'),
    (
        RING.replace('"ring"','"cluster"'),
        "pool.cache.mode", 'is not known; known are "ring", "copy"; did you mean "ring"?',
    ),
    (
        RING.replace('"ring"','"replica"'),
        "pool.cache.mode", 'is not known; known are "ring", "copy"; did you mean "copy"?',
    ),
    (
        RING.replace('"ring"','"Ring"'),
        "pool.cache.mode", '"Ring" is not known; known are "ring", "copy"; did you mean "ring"?',
    ),
    (
        RING.replace('"ring"','"sentinel"'),
        "pool.cache.mode", 'is not known; known are "ring", "copy"; did you mean "ring"?',
    ),
    (RING.replace('mode = "ring"\n',''), "", "pool.cache.mode: is missing"),
    (RING.replace('"ring"','["ring"]'), "", 'pool.cache.mode: must be one of "ring", "copy", not a list'),
    (
        RING.replace('"ring"','ring'),
        "line 3, column 8", 'in "quotes", one setting on a line, true and false in small letters',
    ),
    (listen('6380'), "pool.cache.listen", "must be a string or a list of strings, not a whole number"),
    (listen('"6380"'), "pool.cache.listen", 'needs a host and a port, for example "127.0.0.1:6380"'),
    (listen('"127.0.0.1"'), "pool.cache.listen", 'needs a host and a port, for example "127.0.0.1:6380"'),
    (listen('":6380"'), "pool.cache.listen", 'needs a host and a port, for example "127.0.0.1:6380"'),
    (listen('"*:6380"'), "pool.cache.listen", 'for a host; write "0.0.0.0" for every IPv4 address, "[::]" for IPv6'),
    (
        listen('"tcp://127.0.0.1:6380"'),
        "pool.cache.listen", '"host:port", "[::1]:port", "redis://host:port" or "unix:///path"',
    ),
    (listen('""'), "pool.cache.listen", 'needs a host and a port, for example "127.0.0.1:6380"'),
    (listen('[]'), "", "pool.cache: has no 'listen', and no pool uses it"),
    (listen('"127.0.0.1:0x18"'), "pool.cache.listen", 'has the port "0x18"; a port is a number from 0 to 65535'),
    (listen('"127.0.0.1:70000"'), "pool.cache.listen", 'has the port "70000"; a port is a number from 0 to 65535'),
    (listen('"127.0.0.1:-1"'), "pool.cache.listen", 'has the port "-1"; a port is a number from 0 to 65535'),
    (listen('"::1:6380"'), "pool.cache.listen", 'has an IPv6 address that needs brackets: "[::1]:6379"'),
    (listen('"/run/x.sock"'), "pool.cache.listen", 'needs a host and a port, for example "127.0.0.1:6380"'),
    (
        listen('"unix:run/x.sock"'),
        "pool.cache.listen", 'needs an absolute path after three slashes: "unix:///run/redis.sock"',
    ),
    (listen('"127.0.0.1 6380"'), "pool.cache.listen", 'needs a host and a port, for example "127.0.0.1:6380"'),
    (
        listen('"127.0.0.1:6380,127.0.0.1:6381"'),
        "pool.cache.listen", "has a comma; each address is a text of its own in the list",
    ),
    (listen('"127.0.0.1:63 80"'), "pool.cache.listen", 'has the port "63 80"; a port is a number from 0 to 65535'),
    (listen('"0.0.0.0:6380"'), "pool.cache.listen", "set 'password', listen on 127.0.0.1, or say 'protected = false'"),
    (
        listen('["0.0.0.0:6380", "127.0.0.1:6380"]').replace("mode",'password="x"\nmode'),
        "pool.cache.listen", "(pool.cache.listen) are one port of the same addresses; take one out",
    ),
    (
        listen('["[::]:6380", "[::1]:6380"]').replace("mode",'password="x"\nmode'),
        "pool.cache.listen", "(pool.cache.listen) are one port of the same addresses; take one out",
    ),
    (
        listen('["127.0.0.1:6380", "127.0.0.1:6380"]'),
        "pool.cache.listen", "127.0.0.1:6380 is already taken by pool.cache.listen",
    ),
    (
        listen('{ host = "127.0.0.1", port = 6380 }'),
        "", "pool.cache.listen: must be a string or a list of strings, not a table",
    ),
    (listen('"[::1:6380"'), "pool.cache.listen", 'has an IPv6 address that needs brackets: "[::1]:6379"'),
    (
        RING.replace("mode", "protected = false\nmode").replace("127.0.0.1:", "0.0.0.0:") + RING.replace("cache", "b"),
        "pool.b.listen", "(pool.cache.listen) are one port of the same addresses; take one out",
    ),
    (proxy('admin = "127.0.0.1:6380"'), "", "pool.cache.listen: 127.0.0.1:6380 is already taken by proxy.admin"),
    (
        proxy('admin = "0.0.0.0:6380"'),
        "pool.cache.listen", "(proxy.admin) are one port of the same addresses; take one out",
    ),
    (proxy('admin = 9380'), "", "proxy.admin: must be a string, not a whole number; write it in quotes"),
    (
        proxy('admin = "http://127.0.0.1:9380"'),
        "proxy.admin", '"host:port", "[::1]:port", "redis://host:port" or "unix:///path"',
    ),
    (
        node("redis://10.0.0.2:6379:1"),
        "pool.cache.nodes[1]", 'write "host:port" (a weight is written as { url = "…", weight = 2 })',
    ),
    (
        node("10.0.0.2:6379:1"),
        "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"',
    ),
    (node("10.0.0.2:6379"), "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"'),
    (node("10.0.0.2"), "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"'),
    (
        node("http://10.0.0.2:6379"),
        "pool.cache.nodes[1]", 'has the scheme "http"; known are "redis", "rediss", ' + KNOWN,
    ),
    (node("redis:10.0.0.2"), "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"'),
    (
        node("redis:/10.0.0.2:6379"),
        "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"',
    ),
    (node(""), "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"'),
    (node("redis://"), "", "pool.cache.nodes[1]: has no host"),
    (node("redis://:6379"), "", "pool.cache.nodes[1]: has no host"),
    (node("redis://10.0.0.2:abc"), "pool.cache.nodes[1]", 'has the port "abc"; a port is a number from 1 to 65535'),
    (node("redis://10.0.0.2:0"), "pool.cache.nodes[1]", 'has the port "0"; a port is a number from 1 to 65535'),
    (
        node("redis://10.0.0.2:6379/1"),
        "pool.cache.nodes[1]", "choose it with SELECT, and the proxy passes it on; drop the path",
    ),
    (node("redis://10.0.0.2:6379?db=1"), "pool.cache.nodes[1]", "has a query or a fragment, which mean nothing here"),
    (node("redis://10.0.0.2:6379/0?x=1"), "pool.cache.nodes[1]", "has a query or a fragment, which mean nothing here"),
    (node("redis://10.0.0.2: 6379"), "", "pool.cache.nodes[1]: has a space around its port"),
    (node("redis://10.0.0.2:6379 "), "", "pool.cache.nodes[1]: has a space around its port"),
    (
        node("redis://:a/b@10.0.0.2:6379"),
        "pool.cache.nodes[1]", "in its user or password that must be percent-encoded (/ ? # @)",
    ),
    (
        node("redis://:a@b@10.0.0.2"),
        "pool.cache.nodes[1]", "in its user or password that must be percent-encoded (/ ? # @)",
    ),
    (
        node("redis://u:p@h@10.0.0.2"),
        "pool.cache.nodes[1]", "in its user or password that must be percent-encoded (/ ? # @)",
    ),
    (node("redis://::1:6379"), "pool.cache.nodes[1]", 'has an IPv6 address that needs brackets: "[::1]:6379"'),
    (
        node("redis+sentinel://10.0.0.2:26379/mymaster"),
        "pool.cache.nodes[1]", 'the scheme "redis+sentinel"; known are "redis", "rediss", ' + KNOWN,
    ),
    (
        node("valkey://10.0.0.2:6379"),
        "pool.cache.nodes[1]", 'has the scheme "valkey"; known are "redis", "rediss", ' + KNOWN,
    ),
    (
        node("REDIS://10.0.0.2:6379"),
        "pool.cache.nodes[1]", 'has the scheme "REDIS"; known are "redis", "rediss", ' + KNOWN,
    ),
    (
        node("tcp://10.0.0.2:6379"),
        "pool.cache.nodes[1]", 'has the scheme "tcp"; known are "redis", "rediss", ' + KNOWN,
    ),
    (
        node("unix://run/x.sock"),
        "pool.cache.nodes[1]", 'needs an absolute path after three slashes: "unix:///run/redis.sock"',
    ),
    (node("/run/x.sock"), "pool.cache.nodes[1]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"'),
    (
        node("redis://10.0.0.2:6379,redis://10.0.0.3:6379"),
        "pool.cache.nodes[1]", "choose it with SELECT, and the proxy passes it on; drop the path",
    ),
    (nodes('"redis://10.0.0.1:6379"'), "", "pool.cache.nodes: must be a list, not a string; write it in [ and ]"),
    (
        nodes('"redis://10.0.0.1:6379,redis://10.0.0.2:6379"'),
        "", "pool.cache.nodes: must be a list, not a string; write it in [ and ]",
    ),
    (nodes('{ a = "redis://10.0.0.1:6379" }'), "", "pool.cache.nodes: must be a list, not a table"),
    (nodes("[]"), "", "pool.cache.nodes: is empty: a pool needs at least one node"),
    (nodes('[["redis://10.0.0.1:6379"]]'), "", "pool.cache.nodes[0]: must be a string or a table, not a list"),
    (nodes('[{ host = "10.0.0.1" }]'), "", 'pool.cache.nodes[0].host: unknown key; it is called "url" here'),
    (
        node("redis://10.0.0.1:6379"),
        "pool.cache.nodes[1]", "shares, give them names that differ and say 'same_server = true'",
    ),
    (nodes("[6379]"), "", "pool.cache.nodes[0]: must be a string or a table, not a whole number"),
    (RING.rsplit("nodes",1)[0], "", "pool.cache.nodes: is missing"),
    (node("redis://127.0.0.1:6380"), "pool.cache.nodes[1]", "127.0.0.1:6380 is the proxy itself: pool.cache.listen"),
    (
        nodes('["10.0.0.1:6379:1 a"]'),
        "pool.cache.nodes[0]", '"redis://host:port", "rediss://…", "unix:///path" or "pool:name"',
    ),
    (
        RING.rsplit("nodes",1)[0]+'[[pool.cache.node]]\nurl = "redis://10.0.0.1"\n',
        "", 'pool.cache.node: unknown key; it is called "nodes" here',
    ),
    (more('tags = "{x}"'), "pool.cache.tags", 'must be two characters, such as "{}", or "" to turn tags off'),
    (more('tags = "{"'), "pool.cache.tags", 'must be two characters, such as "{}", or "" to turn tags off'),
    (more('together = "@celery"'), "", "pool.cache.together: must be a list, not a string; write it in [ and ]"),
    (
        more('together = ["@celry"]'),
        "pool.cache.together[0]", '"@throttled", "@self_limiters"; did you mean "@celery"?',
    ),
    (proxy('workers = "many"'), "", "proxy.workers: must be a whole number, not a string"),
    (proxy("workers = 0"), "", "proxy.workers: must be at least 1"),
    (more('timeout_ms = "1s"'), "", "pool.cache.timeout_ms: must be a whole number, not a string"),
    (
        more("protected = True"),
        "line 5, column 13", 'in "quotes", one setting on a line, true and false in small letters',
    ),
    (
        more("protected = yes"),
        "line 5, column 13", 'in "quotes", one setting on a line, true and false in small letters',
    ),
    (
        more('protected = "false"'),
        "pool.cache.protected", "must be true or false, not a string; write it without quotes",
    ),
    (
        more("password = hunter2"),
        "line 5, column 12", 'in "quotes", one setting on a line, true and false in small letters',
    ),
    (
        RING.replace('"127.0.0.1:6380"',"127.0.0.1:6380"),
        "line 2, column 15", 'in "quotes", one setting on a line, true and false in small letters',
    ),
    (
        RING.replace("\nmode",";\nmode"),
        "line 2, column 26", 'in "quotes", one setting on a line, true and false in small letters',
    ),
    (
        RING.replace('6380"','6380'),
        "line 2, column 25", '2, column 25: is not TOML: illegal character \'\\n\'; a text ends with "',
    ),
    (RING.replace('6379"]','6379"'), "", "at its end: is not TOML: unclosed array; a list ends with ]"),
    (more("tags"), "line 5, column 5", 'expected \'=\' after a key in a key/value pair; write key = "value"'),
    (
        RING.replace("listen =","listen:"),
        "line 2, column 7", 'after a key in a key/value pair; write key = "value", not key: value',
    ),
    (
        more('on_down = "skip"'),
        "pool.cache.on_down", '"skip" is not known; known are "error", "miss"; did you mean "miss"?',
    ),
    (more('min_in_sync = 2'), "", "pool.cache: 'min_in_sync' has no meaning in a ring pool"),
    (more('password = "${NOPE}"'), "", 'pool.cache.password: the environment has no "NOPE"'),
    (
        more('password = "$NOPE"'),
        "pool.cache.password", 'without braces; write "${NOPE}", or put the secret into a file',
    ),
    (
        RING.replace('"ring"','"copy"')+'scrub = "daily"\n',
        "pool.cache.scrub", 'must be "off", or a number and s, m, h or d, such as "24h"',
    ),
    (node("pool:nope"), "", 'pool.cache.nodes[1]: there is no pool "nope"'),
]
# fmt: on


def lines_of(tmp_path: Path, text: str | bytes) -> list[str]:
    """What is said of such a file."""
    file = tmp_path / "ring.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, {"HOME": "/h"})
    return caught.value.problems


@pytest.mark.parametrize(("text", "place", "cure"), SHAPES)
def test_one_line_with_place_and_cure(tmp_path: Path, text: str | bytes, place: str, cure: str) -> None:
    """Neither none nor several; and no traceback."""
    (line,) = lines_of(tmp_path, text)
    assert line.startswith(f"ring.toml: {place}")
    assert line.endswith(cure)
    assert "\n" not in line


def test_windows_lines_are_fine(tmp_path: Path) -> None:
    """They are TOML."""
    (tmp_path / "ring.toml").write_bytes(RING.replace("\n", "\r\n").encode())
    assert load(tmp_path / "ring.toml", {"HOME": "/h"}).pools


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose it is, and who asks."""
    file = tmp_path / "ring.toml"
    file.write_text(RING)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        ConfigError, match=r"Permission denied; it belongs to uid \d+, and this process runs as uid \d+$"
    ):
        load(file)
    with pytest.raises(ConfigError, match="a folder above it is closed"):
        load(tmp_path / "closed" / "ring.toml")
