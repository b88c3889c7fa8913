# mypy: disable-error-code="import-untyped"
"""The cache backends that Django's tests run with; Django has settings once this is imported."""

from typing import Final

from django.conf import settings

if not settings.configured:
    settings.configure()

STOCK: Final = "django.core.cache.backends.redis.RedisCache"
KIDO: Final = "kidoproxy.django.KidoCache"
RING: Final = "kidoproxy.django.RedisRing"
COPY: Final = "kidoproxy.django.RedisCopy"
