# mypy: disable-error-code="import-untyped"
"""Which proxy is found for a list of nodes."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings

from kidoproxy.django.addresses import parse_node
from kidoproxy.django.proxies import ProxyAddress, find_proxies

FILE = """
[pool.one]
listen = "127.0.0.1:6390"
mode = "ring"
password = "pw"
nodes = ["redis://a:1", "redis://b:2"]

[pool.two]
listen = "127.0.0.1:6391"
mode = "copy"
nodes = ["redis://c:1", "redis://d:2"]

[pool.silent]
mode = "ring"
nodes = ["redis://e:1"]

[pool.twin]
listen = "127.0.0.1:6392"
mode = "ring"
nodes = ["redis://f:1"]

[pool.other]
listen = "127.0.0.1:6393"
mode = "ring"
nodes = ["redis://f:1"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, which nobody has been told of."""
    monkeypatch.delenv("KIDOPROXY_CONFIG", raising=False)
    path = tmp_path / "kidoproxy.toml"
    path.write_text(FILE)
    return path


def find(mode: str, *nodes: str, **options: Any) -> list[ProxyAddress]:
    """The proxies for these nodes."""
    return find_proxies("RedisX", mode, [parse_node(node) for node in nodes], options)


def test_by_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool that has these nodes: of the file in OPTIONS, else in the settings, else in the environment."""
    wanted = [ProxyAddress(f"pool.one of {file}", "redis://127.0.0.1:6390", {"password": "pw"})]
    assert find("ring", "a:1", "redis://b:2", CONFIG=file) == wanted
    with override_settings(KIDOPROXY_CONFIG=file):
        assert find("ring", "a:1", "b:2") == wanted
    monkeypatch.setenv("KIDOPROXY_CONFIG", str(file))
    assert find("ring", "a:1", "b:2") == wanted
    assert find("copy", "c:1", "d:2")[0].options == {}
    assert find("ring", "f:1", POOL="twin")[0].url == "redis://127.0.0.1:6392"


@pytest.mark.parametrize(
    ("mode", "nodes", "why"),
    [
        ("copy", ["a:1", "b:2"], 'pool.one of .* has these nodes in mode "ring": that is RedisRing'),
        ("ring", ["c:1", "d:2"], 'pool.two of .* has these nodes in mode "copy": that is RedisCopy'),
        ("ring", ["b:2", "a:1"], "in another order; write LOCATION in the order a:1, b:2"),
        ("ring", ["e:1"], "no address that Django could connect to"),
        ("ring", ["f:1"], "several pools .*: twin, other; name one"),
        ("ring", ["a:1"], r"exactly the nodes a:1 \(it has pool.one: a:1, b:2; (.|\n)*listen = \"127.0.0.1:6380\""),
    ],
)
def test_no_such_pool(file: Path, mode: str, nodes: list[str], why: str) -> None:
    """The error names the nearest pool and its cure, or the table that is missing."""
    with pytest.raises(ImproperlyConfigured, match=f"RedisX: .*{why}"):
        find(mode, *nodes, CONFIG=file)


@pytest.mark.usefixtures("file")
def test_nobody_said_where() -> None:
    """Without a setting the error is a recipe: the file, the command, the setting."""
    with pytest.raises(ImproperlyConfigured) as error:
        find("copy", "localhost:6379", "localhost:6380")
    text = str(error.value)
    for part in (
        '[pool.copy]\nlisten = "127.0.0.1:6381"\nmode = "copy"\n',
        'nodes = [\n  "redis://localhost:6379",\n  "redis://localhost:6380",\n]',
        "kidoproxy serve --config kidoproxy.toml",
        "KIDOPROXY_CONFIG in the settings or the environment",
    ):
        assert part in text


def test_by_the_setting(file: Path) -> None:
    """KIDOPROXY is one URL, or a map in which OPTIONS may choose; a file in OPTIONS comes before it."""
    with override_settings(KIDOPROXY="redis://p:1"):
        assert find("ring", "a:1") == [ProxyAddress("KIDOPROXY", "redis://p:1")]
        assert find("ring", "a:1", "b:2", CONFIG=file)[0].url == "redis://127.0.0.1:6390"
    with override_settings(KIDOPROXY={"x": "redis://p:1", "y": "redis://p:2"}):
        assert [proxy.url for proxy in find("ring", "a:1")] == ["redis://p:1", "redis://p:2"]
        assert find("ring", "a:1", POOL="y") == [ProxyAddress("KIDOPROXY['y']", "redis://p:2")]
        with pytest.raises(ImproperlyConfigured, match="'z'; KIDOPROXY has x, y"):
            find("ring", "a:1", POOL="z")


@pytest.mark.parametrize("nonsense", [{}, 7])
def test_a_setting_that_is_neither(nonsense: Any) -> None:
    """It is said what it should be."""
    with override_settings(KIDOPROXY=nonsense), pytest.raises(ImproperlyConfigured, match="a proxy, or a map"):
        find("ring", "a:1")
