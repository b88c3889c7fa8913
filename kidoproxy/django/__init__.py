"""Django's cache on kidoproxy.

`KidoCache`, `RedisRing`, `RedisCopy`: see below.
"""

from kidoproxy.django.cache import KidoCache, RedisRing
from kidoproxy.django.copies import RedisCopy

__all__ = ["KidoCache", "RedisCopy", "RedisRing"]
