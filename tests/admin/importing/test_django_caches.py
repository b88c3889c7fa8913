"""What CACHES say, as a file of ours: the rings of old, key for key."""

from pathlib import Path
from typing import Any

import pytest

from kidoproxy.admin.importing.django_caches import read_caches
from kidoproxy.config import Pool
from kidoproxy.config.read import load
from kidoproxy.routes.build import build_placement, build_tags
from tests.routes.placement.test_owners import KEYS, VECTORS

SHARDS: dict[str, Any] = {
    "BACKEND": "django_redis.cache.RedisCache",
    "OPTIONS": {"CLIENT_CLASS": "django_redis.client.ShardClient"},
}


def pools_of(caches: dict[str, Any], tmp_path: Path, **environ: str) -> dict[str, Pool]:
    """The pools that `kidoproxy serve` would have."""
    file = tmp_path / "kidoproxy.toml"
    file.write_text(read_caches(caches, "settings").to_toml("settings"), encoding="utf-8")
    return dict(load(file, {"HOME": "/h", **environ}).pools)


def owners(pool: Pool, keys: list[bytes]) -> list[int]:
    """Where keys live."""
    assert pool.ring is not None
    placement, tags = build_placement(pool.ring, pool.members), build_tags(pool.ring)
    return [placement.owner(tags.hashed_part(key)) for key in keys]


@pytest.mark.parametrize("package", ["redisdb", "kidoredis"])
@pytest.mark.parametrize("ring", [ring for ring in VECTORS["hash_ring"] if set(ring["weights"]) == {1}], ids=str)
def test_the_ancestor_s_keys_stay(tmp_path: Path, package: str, ring: dict[str, Any]) -> None:
    """As hash_ring has put them."""
    conf = {
        "BACKEND": f"{package}.backends.RedisRing",
        "LOCATION": [f"10.0.0.{i}:6379" for i in range(len(ring["nodes"]))],
    }
    assert owners(pools_of({"default": conf}, tmp_path)["default"], KEYS) == ring["owners"]


@pytest.mark.parametrize("ring", VECTORS["django_redis_shard"], ids=lambda ring: len(ring["nodes"]))
def test_the_shards_keys_stay(tmp_path: Path, ring: dict[str, Any]) -> None:
    """As the ShardClient has put them: it hashes the URLs. The ring of the vectors is asked for what is hashed."""
    pool = pools_of({"default": {**SHARDS, "LOCATION": ring["nodes"]}}, tmp_path)["default"]
    assert pool.ring is not None
    placement = build_placement(pool.ring, pool.members)
    assert [placement.owner(KEYS[at]) for at in ring["key_index"]] == ring["owners"]
    assert pool.ring.tags == b"{}"  # which ShardClient's ring finds in its own way: tests/routes/placement/test_tags.py


def test_passwords(tmp_path: Path) -> None:
    """They are not printed; where one is hashed its variable is."""
    caches = {"a": {**SHARDS, "LOCATION": ["redis://u:pw@10.0.0.1:6379/1", "redis://:p%2Fw@10.0.0.2:6379/1"]}}
    imported = read_caches(caches, "settings")
    assert "pw" not in imported.to_toml("settings")
    assert len(imported.notes) == 2
    pool = pools_of(caches, tmp_path, A_0_PASSWORD="pw", A_1_PASSWORD="p/w")["a"]
    assert [node.name for node in pool.nodes] == ["redis://u:pw@10.0.0.1:6379/1", "redis://:p%2Fw@10.0.0.2:6379/1"]
    assert [node.password.reveal() for node in pool.nodes] == ["pw", "p/w"]
    odd = read_caches({"a": {**SHARDS, "LOCATION": ["redis://:p+w@10.0.0.1:6379/1"]}}, "settings")
    assert "is hashed as it is encoded" in odd.lost[0]


def test_forms_of_addresses(tmp_path: Path) -> None:
    """All that LOCATION may hold; copies are a copy pool."""
    location = "10.0.0.1, redis://10.0.0.2:6380/0;/run/r.sock"
    caches = {"c": {"BACKEND": "redisdb.backends.RedisCopy", "LOCATION": location, "DB": 4}}
    pool = pools_of(caches, tmp_path)["c"]
    assert [str(node.address) for node in pool.nodes] == ["10.0.0.1:6379", "10.0.0.2:6380", "unix:///run/r.sock"]
    assert pool.mode == "copy"
    text = read_caches(caches, "settings").to_toml("settings")
    assert f'# CACHES["c"]: LOCATION = "redis://{pool.listen[0]}/4"' in text


def test_caches_on_the_same_servers_share_a_pool() -> None:
    """Two databases of one ring are one ring; each alias is told its address."""
    ring = {"BACKEND": "redisdb.backends.RedisRing", "LOCATION": ["10.0.0.1", "10.0.0.2"]}
    imported = read_caches({"a": {**ring, "DB": 1}, "b": {**ring, "DB": 2}}, "settings")
    (pool,) = imported.pools
    assert len(pool.comments) == 2
    urls = ("redis://10.0.0.1/1", "redis://10.0.0.1/2")
    one = {
        alias: {"BACKEND": "kidoproxy.django.KidoCache", "LOCATION": [url]}
        for alias, url in zip("ab", urls, strict=True)
    }
    assert len(read_caches(one, "settings").pools) == 1
    both = {"a": ring, "b": {**ring, "BACKEND": "redisdb.backends.RedisCopy"}}
    assert "a copy pool needs servers of its own" in read_caches(both, "settings").lost[0]


@pytest.mark.parametrize("backend", ["RedisRing", "RedisCopy", "KidoCache"])
def test_the_address_of_a_proxy_is_no_node(backend: str) -> None:
    """Our own backends take a text for the proxy and a list, also of one, for nodes; the old ones knew no proxy."""
    text = {"BACKEND": f"kidoproxy.django.{backend}", "LOCATION": "redis://127.0.0.1:6390/0"}
    imported = read_caches({"a": text}, "settings")
    assert (imported.pools, imported.lost) == ([], [])
    assert "is the address of a proxy" in imported.notes[0]
    for conf in ({**text, "LOCATION": [text["LOCATION"]]}, {**text, "BACKEND": f"redisdb.backends.{backend}"}):
        (pool,) = read_caches({"a": conf}, "settings").pools
        assert [node.url for node in pool.nodes] == ["redis://127.0.0.1:6390"]


def test_plain_lists_and_others() -> None:
    """One Redis is one; a primary with replicas is no pool as it stands; memcached is none."""
    stock = {"BACKEND": "django.core.cache.backends.redis.RedisCache"}
    one = read_caches({"a": {**stock, "LOCATION": "redis://10.0.0.1/3"}}, "settings")
    assert ([pool.mode for pool in one.pools], one.lost) == (["ring"], [])
    assert "/3" in one.pools[0].comments[0]
    replicas = read_caches({"a": {**stock, "LOCATION": ["redis://10.0.0.1", "redis://10.0.0.2"]}}, "settings")
    assert "REPLICAOF NO ONE" in replicas.lost[0]
    assert [pool.mode for pool in replicas.pools] == ["copy"]
    others = {"a": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, "b": {**stock}}
    assert len(read_caches(others, "settings").notes) == 2
    assert read_caches(others, "settings").pools == []


def test_what_is_lost_is_named() -> None:
    """An address that is none leaves out the pool; databases that differ are no ring."""
    ring = {"BACKEND": "kidoredis.backends.RedisRing"}
    bad = read_caches({"a": {**ring, "LOCATION": ["10.0.0.1", "http://x"]}}, "settings")
    assert (bad.pools, len(bad.lost)) == ([], 2)
    mixed = read_caches({"a": {**SHARDS, "LOCATION": ["redis://10.0.0.1/1", "redis://10.0.0.2/2"]}}, "settings")
    assert "different databases" in mixed.lost[0]


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("django.core.cache.backends.redis.RedisCache", {"username": "u", "password": "pw"}),
        ("django_redis.cache.RedisCache", {"USERNAME": "u", "PASSWORD": "pw"}),
        ("django_redis.cache.RedisCache", {"CONNECTION_POOL_KWARGS": {"username": "u", "password": "pw"}}),
    ],
)
def test_a_login_in_the_options(tmp_path: Path, backend: str, options: dict[str, Any]) -> None:
    """It is that of each server whose URL has none; it is not printed."""
    caches = {"a": {"BACKEND": backend, "LOCATION": ["redis://h/0", "redis://x:other@i/0"], "OPTIONS": options}}
    imported = read_caches(caches, "settings")
    assert "pw" not in imported.to_toml("settings") + "".join(imported.notes + imported.lost)
    assert any("A_PASSWORD" in note for note in imported.notes)
    first, second = pools_of(caches, tmp_path, A_PASSWORD="pw", A_1_PASSWORD="other")["a"].nodes
    assert (first.username, first.password.reveal()) == ("u", "pw")
    assert (second.username, second.password.reveal()) == ("x", "other")


def test_options_that_are_lost_are_named() -> None:
    """Who has them finds out now, and not when the first command fails."""
    conf = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://mymaster/0"}
    for options in ({"CLIENT_CLASS": "django_redis.client.SentinelClient"}, {"SENTINELS": [("s", 26379)]}):
        found = read_caches({"a": {**conf, "OPTIONS": options}}, "settings")
        assert (found.pools, "Sentinel" in found.lost[0]) == ([], True)
    tls = {"CONNECTION_POOL_KWARGS": {"ssl_ca_certs": "/ca.pem"}}
    assert "ssl_ca_certs" in read_caches({"a": {**conf, "OPTIONS": tls}}, "settings").lost[0]


def test_the_name_of_a_cache_is_no_line_of_the_file(tmp_path: Path) -> None:
    """A comment stays one."""
    conf = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://h/0"}
    assert list(pools_of({"a\n[pool.b]\n": conf}, tmp_path)) == ["a--pool-b--"]
