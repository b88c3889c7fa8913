# mypy: disable-error-code="import-untyped"
"""Where the settings of queue libraries put their queues."""

from types import SimpleNamespace
from typing import Any

import pytest
from huey import MemoryHuey, RedisHuey

from kidoproxy.django.queues import queues


def found(apps: list[str], **settings: Any) -> list[tuple[str, str]]:
    """Set and address of each queue."""
    return [(queue.together, queue.url) for queue in queues(SimpleNamespace(CACHES={}, **settings), apps)]


def test_celery() -> None:
    """Broker and results, without an app; what is no Redis is not ours."""
    assert found([], CELERY_BROKER_URL="redis://a:1/0;redis://b:2", CELERY_RESULT_BACKEND="redis://a:1/0") == [
        ("@celery", "redis://a:1/0"), ("@celery", "redis://b:2"),
    ]  # fmt: skip
    assert found([], CELERY_BROKER_URL="amqp://a", CELERY_RESULT_BACKEND=None) == []
    assert found([], CELERY_BROKER_URL=["rediss://a:1"]) == [("@celery", "rediss://a:1")]


def test_rq() -> None:
    """By URL, by host, by the name of a cache; only if the app is there."""
    settings: dict[str, Any] = {
        "RQ_QUEUES": {
            "url": {"URL": "redis://a:1/0"},
            "host": {"HOST": "::1", "PORT": 2, "DB": 3, "PASSWORD": "p/w"},
            "plain": {"HOST": "b"},
            "cache": {"USE_REDIS_CACHE": "default"},
            "other": {"SENTINELS": []},
        },
        "CACHES": {"default": {"LOCATION": "redis://c:4/1"}},
    }
    listed = [(queue.together, queue.url) for queue in queues(SimpleNamespace(**settings), ["django_rq"])]
    assert listed == [
        ("@rq", "redis://a:1/0"), ("@rq", "redis://:p%2Fw@[::1]:2/3"), ("@rq", "redis://b:6379/0"),
        ("@rq", "redis://c:4/1"),
    ]  # fmt: skip
    assert queues(SimpleNamespace(**settings), ["django"]) == []


@pytest.mark.parametrize("host", ["redis://a:1/0", ("a", 1), {"address": "redis://a:1/0"}, {"address": ["a", 1]}])
def test_channels(host: Any) -> None:
    """Hosts have many forms."""
    layers = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}}
    assert found(["channels.apps"], CHANNEL_LAYERS=layers) == [("@channels_redis", "redis://a:1/0")]


def test_dramatiq() -> None:
    """Broker and results."""
    broker = {"BROKER": "dramatiq.brokers.redis.RedisBroker", "OPTIONS": {"url": "redis://a:1/0"}}
    results = {"BACKEND": "x", "BACKEND_OPTIONS": {"url": "redis://b:1/0"}}
    apps = ["django_dramatiq"]
    assert found(apps, DRAMATIQ_BROKER=broker, DRAMATIQ_RESULT_BACKEND=results) == [
        ("@dramatiq", "redis://a:1/0"), ("@dramatiq", "redis://b:1/0"),
    ]  # fmt: skip
    assert found(apps, DRAMATIQ_BROKER=None) == []


@pytest.mark.parametrize(
    ("setting", "urls"),
    [
        ({"HUEY": {"connection": {"host": "a", "port": 1, "db": 2, "password": "p/w"}}}, ["redis://:p%2Fw@a:1/2"]),
        ({"HUEY": {"connection": {"url": "redis://a:1/2"}, "huey_class": "huey.PriorityRedisHuey"}}, ["redis://a:1/2"]),
        ({"HUEY": {"url": "redis://a:1/2"}}, ["redis://a:1/2"]),
        ({"HUEY": {"name": "site", "connection": None}}, ["redis://localhost:6379/0"]),
        ({"HUEY": {"connection": {"unix_socket_path": "/run/r.sock", "db": 1}}}, ["unix:///run/r.sock?db=1"]),
        ({"HUEY": RedisHuey("site", host="a", port=1, db=2)}, ["redis://a:1/2"]),
        ({"HUEY": RedisHuey("site", url="unix:///run/r.sock")}, ["unix:///run/r.sock?db=0"]),
        ({}, ["redis://localhost:6379/0"]),
        ({"HUEY": {"connection": {"connection_pool": object()}}}, []),
        ({"HUEY": {"huey_class": "huey.SqliteHuey"}}, []),
        ({"HUEY": {"immediate": True}}, []),
        ({"HUEY": MemoryHuey("site")}, []),
    ],
    ids=range(12),
)
def test_huey(setting: dict[str, Any], urls: list[str]) -> None:
    """The table of its Django part, a queue that is made in the settings, or none; if its app is there."""
    assert found(["huey.contrib.djhuey"], **setting) == [("@huey", url) for url in urls]
    assert found(["django"], **setting) == []
