# mypy: disable-error-code="import-untyped"
"""django-redis: its connection for pushes to a list, beside reads of its cache."""

from typing import Any

import django
from django.conf import settings
from django.core.cache import caches

from tests.outage.notes import URL, produce


def send(cache: Any, number: int) -> None:
    """What a web page does: read the cache, and count."""
    cache.get("outage:page")
    cache.client.get_client(write=True).rpush("outage:django-redis", number)


def main() -> None:
    """The producer."""
    settings.configure(
        CACHES={
            "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL, "KEY_FUNCTION": "builtins.str"}
        }
    )
    settings.CACHES["default"]["KEY_FUNCTION"] = lambda key, prefix, version: key
    django.setup()
    produce(lambda number: send(caches["default"], number))
