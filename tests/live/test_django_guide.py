# mypy: disable-error-code="import-untyped"
"""The guides for those who come from elsewhere, run as they are written, over what the old programs have left."""

import importlib
import pickle
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import django
import pytest
import redis
from django.core.cache import CacheHandler, caches
from django.test.utils import override_settings
from uhashring import HashRing

from tests.live.django_backends import COPY
from tests.live.guide import BLOCK, ROOT, Guide, run_dialogue, settings_in
from tests.live.proxies import RunningProxy, Starter
from tests.needs import needs

django.setup()
assert COPY  # Django has settings once this is imported
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:.*deprecated")]

PAGE: Final = "kidoproxy/django/README.md"
PAGES: Final = {"page:1": "one", "page:2": "two", "page:3": "three"}


@pytest.fixture
def guide(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guide]:
    """The section that the test names."""
    with Guide(PAGE, request.param, tmp_path) as made:
        yield made


def close_caches() -> None:
    """Connections are closed before the proxy goes."""
    for cache in caches.all(initialized_only=True):
        client = getattr(cache, "client", None) or cache._cache  # django-redis has the first, all others the second
        client.get_client(write=True).connection_pool.disconnect()


def answered(settings: dict[str, Any], guide: Guide, found: dict[str, Any], alias: str = "default") -> None:
    """The dialogue of the guide is true, and everything that the old program wrote is found."""
    with override_settings(**settings):
        guide.run_dialogue()
        assert caches[alias].get_many(found) == found
        close_caches()
    assert guide.blocks == []


@pytest.mark.parametrize("guide", ["From django-kidoredis and django-redisdb"], indirect=True)
def test_from_the_ancestor(guide: Guide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are found on their nodes, its values are read, and its settings serve, by their old path."""
    nodes = [redis.Redis.from_url(f"redis://{guide.real[node]}") for node in guide.nodes]
    # Proven equal to hash_ring 1.3.1 with the places in LOCATION for names: tests/routes/placement/test_owners.py.
    ring = HashRing(["0", "1"], hash_fn="ketama", replicas=3)
    old: dict[str, Any] = {f"{{k}}{number}": f"value {number}" for number in range(100)} | {"greeting": "hello"}
    for key, value in old.items():
        nodes[int(ring.get_node(key))].set(key, value)
    nodes[int(ring.get_node("pickled"))].set("pickled", pickle.dumps({"a": 1}, 0))
    assert len({int(ring.get_node(key)) for key in old}) == 2

    guide.run_commands()
    package = guide.folder / "redisdb"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "backends.py").write_text(guide.block("python", "# redisdb/backends.py"), encoding="utf-8")
    monkeypatch.syspath_prepend(guide.folder)
    importlib.invalidate_caches()
    answered(guide.settings(), guide, {**old, "pickled": {"a": 1}}, "redis_ring")
    assert [node.get("other_key") for node in nodes] == [None, None, b"234", b"234"]
    for name in ("redisdb", "redisdb.backends"):
        del sys.modules[name]
    for node in nodes:
        node.close()


@pytest.mark.filterwarnings("ignore:.*sharded client should not specify client")
@pytest.mark.parametrize("guide", ["From django-redis's ShardClient"], indirect=True)
def test_from_shard_client(guide: Guide) -> None:
    """What the real ShardClient has written is found, with tags too, and it finds what is written now."""
    location = [f"redis://{guide.real[node]}/1" for node in guide.nodes]
    options = {"CLIENT_CLASS": "django_redis.client.ShardClient"}
    conf = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": location, "OPTIONS": options}
    shards: Any = CacheHandler({"default": conf})["default"]
    old: dict[str, Any] = {f"a{{{number % 7}}}b{{{number}}}": [number] for number in range(100)} | PAGES
    for key, value in old.items():
        shards.set(key, value, None)

    guide.run_commands()
    settings = guide.settings()
    answered(settings, guide, old)
    with override_settings(**settings):
        caches["default"].set("new", {"a": 1})
        close_caches()
    assert shards.get_many(["new"]) == {"new": {"a": 1}}
    kido: Any = CacheHandler({"default": {**settings["CACHES"]["default"], "BACKEND": "kidoproxy.django.KidoCache"}})[
        "default"
    ]
    assert kido.get_many(old) == old
    kido.get_client().connection_pool.disconnect()
    for server in shards.client._serverdict.values():
        server.connection_pool.disconnect()


def send_through(address: str, values: dict[str, bytes]) -> None:
    """SET them through nutcracker, which does not say when it is ready: it is tried until it is."""
    host, _, port = address.rpartition(":")
    for attempt in range(500):
        try:
            with socket.create_connection((host, int(port)), 5) as client:
                for key, value in values.items():
                    words = [b"SET", key.encode(), value]
                    client.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
                    assert client.recv(5, socket.MSG_WAITALL) == b"+OK\r\n"
                return
        except ConnectionRefusedError:
            assert attempt < 499
            time.sleep(0.005)


@pytest.mark.parametrize("guide", ["From twemproxy"], indirect=True)
def test_from_twemproxy(guide: Guide) -> None:
    """What a real nutcracker with this file has placed is found by a proxy with the other."""
    old: dict[str, Any] = {f"a{{{number % 7}}}b{number}": [number] for number in range(100)} | PAGES
    config = guide.folder / "nutcracker.yml"
    config.write_text(guide.block("yaml"), encoding="utf-8")
    stats = socket.create_server(("127.0.0.1", 0))
    port = stats.getsockname()[1]
    stats.close()
    argv = [needs("nutcracker"), "-c", str(config), "-a", "127.0.0.1", "-s", str(port), "-o", f"{guide.folder}/log-n"]
    with subprocess.Popen(argv) as nutcracker:
        try:
            send_through(guide.real["127.0.0.1:6390"], {f":1:{key}": pickle.dumps(value) for key, value in old.items()})
        finally:
            nutcracker.kill()

    guide.run_commands()
    answered(guide.settings(), guide, old)


def test_which_pool_for_what(tmp_path: Path) -> None:
    """Its file serves, its settings fit it, and the checks of the app have nothing to say."""
    with Guide("kidoproxy/django/POOLS.md", "The settings", tmp_path) as guide:
        guide.run_commands()
        with override_settings(**guide.settings()):
            guide.run_dialogue()
            close_caches()
        assert guide.blocks == []


def test_the_other_snippets(own_proxy: Starter) -> None:
    """What the page shows before the guides: each block of settings serves, and the dialogue is true."""
    ring, copies = own_proxy("ring", 3), own_proxy("copy", 2)
    text = (ROOT / PAGE).read_text(encoding="utf-8").split("\n## From ", 1)[0]
    text = text.replace("127.0.0.1:6380", f"127.0.0.1:{ring.port}").replace(
        "127.0.0.1:6381", f"127.0.0.1:{copies.port}"
    )
    blocks = [block for language, block in BLOCK.findall(text) if language == "python"]
    settings = [block for block in blocks if block.startswith("CACHES = ")]
    for block in settings:
        with override_settings(**settings_in(block)):
            for alias in caches:
                caches[alias].set("key", "value")
                assert caches[alias].get("key") == "value"
            if "copies" in caches.settings:
                (dialogue,) = [other for other in blocks if other not in settings]
                run_dialogue("from django.core.cache import caches\n", dialogue)
            close_caches()
    assert len(settings) == 3


class NamedNodes(RunningProxy):
    """The pool and the nodes have the names of the page."""

    def _toml(self, mode: str, options: dict[str, Any]) -> str:
        self.names = ["cache-a", "cache-b"]
        return super()._toml(mode, options).replace("[pool.pool]", "[pool.cache]")


def test_the_commands_of_manage_py(own_proxy: Starter, tmp_path: Path) -> None:
    """Both are run as they stand there, and say, among other lines, what stands below them."""
    proxy = own_proxy("ring", 2, tcp=True, kind=NamedNodes)
    cache = {"BACKEND": "kidoproxy.django.KidoCache", "LOCATION": f"{proxy.url}/0", "KEY_PREFIX": "site"}
    settings = {
        "SECRET_KEY": "x", "INSTALLED_APPS": ["kidoproxy.django"], "CACHES": {"default": cache},
        "CELERY_BROKER_URL": f"{proxy.url}/0",
    }  # fmt: skip
    (tmp_path / "settings.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    (tmp_path / "manage.py").write_text(
        "import os, sys\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
        "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
    )
    real = {proxy.url.removeprefix("redis://"): "127.0.0.1:6380"}
    real |= {url.removeprefix("redis://"): f"10.0.0.{at + 1}:6379" for at, url in enumerate(proxy.urls)}
    shown = re.findall(r"(?ms)^```\n\$ python (manage\.py .*?)\n(.*?)^```$", (ROOT / PAGE).read_text(encoding="utf-8"))
    assert len(shown) == 2
    for line, wanted in shown:
        done = subprocess.run(
            [sys.executable, *line.split()], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        for address, written in real.items():
            said = said.replace(address, written)
        assert [text for text in wanted.splitlines() if text not in said.splitlines()] == [], said
