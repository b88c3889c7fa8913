"""Django's cache on kidoproxy: the proxy looks like one Redis, so one address is all the settings need.

Nothing here is required. Django's own backend and django-redis work on the proxy as they are::

    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
                          "LOCATION": "redis://127.0.0.1:6380/0"}}
    CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache",
                          "LOCATION": "redis://127.0.0.1:6380/0"}}

Which nodes there are, and whether the pool is a ring or copies, stands in the proxy's configuration.
The three backends below add Redis's own commands to the cache object. They need Django and redis-py, and
nothing of the proxy.

``kidoproxy.django.KidoCache``
    Django's ``RedisCache``; what Django's cache API does not define is a Redis command::

        caches["default"].zrange("key3", 1, 10)
        caches["default"].hset("h", mapping={"field": "value"}, version=2)
        caches["default"].sunion(["{tag}a", "{tag}b"])

    The arguments are redis-py's. Keys get Django's prefix and version, by a reviewed table of which arguments
    are keys (`kidoproxy.django.keys`); a method that is not in it is an AttributeError. Values are sent as they
    are and come back as redis-py gives them, bytes: ``get`` and ``set`` pickle, ``getset`` and ``lpush`` do not.
    Patterns (``scan_iter``, BY and GET of ``sort``), channels, and the keys in an answer are Redis's own, prefix
    included; ``keys``, ``iter_keys``, ``delete_pattern``, ``ttl``, ``expire``, ``persist`` and ``lock`` are
    django-redis's. ``azrange`` is the async twin of ``zrange``. ``get_client()`` is the redis-py client,
    for pipelines and pub/sub. On a ring, several keys of one command meet on one node when they share a ``{tag}``.

    With ``OPTIONS = {"FAIL_SOFT": True}`` a node that is down makes pages slower, not errors: ``get`` and the like
    miss, ``set`` and the like do nothing. ``caches["default"].soft_failures`` counts it.

``kidoproxy.django.RedisRing``
    For a pool in mode "ring", and an error for any other. LOCATION is the proxy's address, and all is as above; or
    it is the list of nodes that it was in django-redisdb: then the proxy is found that serves exactly these, by
    ``KIDOPROXY`` or ``KIDOPROXY_CONFIG`` in the settings, and a write answers ``[True]``.

``kidoproxy.django.RedisCopy``
    For a pool in copy mode; LOCATION may be the list of nodes, too. A write answers what every node said, in the
    order of the proxy's configuration::

        >>> caches["copy"].set("key1", 2)
        [True, True]
        >>> caches["copy"].zadd("myzset", {"one": 1})
        [1, 1]
        >>> caches["copy"].zrange("myzset", 0, -1)
        [b'one']

    A node that could not answer is an exception in its place (``BEHIND cache-b ...``: it is not read
    before it is synced); an error is raised when no node did it. The list is true when every node that answered said
    something true, so that ``if cache.add("lock", 1):`` stays a lock. ``set``, ``add``, ``touch`` and ``delete``
    answer truth values, ``incr`` and ``decr`` the new numbers, ``delete_many`` counts, ``clear`` truth values,
    Redis's own writes what redis-py makes of each reply. Reads and scripts answer once, plainly. So do
    ``set_many``, which keeps Django's contract (the list of keys that failed: ``[]``; ``mset`` tells node by
    node), ``get_or_set`` and ``incr_version``.

For those who come from ``RedisRing`` and ``RedisCopy`` of django-redisdb: LOCATION and DB stay. Keys carry Django's
prefix, and values are pickles; ``"KEY_FUNCTION": "kidoproxy.django.bare_key"`` gives the bare keys of old, and
``OPTIONS = {"serializer": "kidoproxy.django.MigrationSerializer"}`` reads the old values beside Django's. redis-py's
arguments are today's: ``zadd("z", {"one": 1})``.
"""

from kidoproxy.django.cache import KidoCache
from kidoproxy.django.migration import MigrationSerializer, bare_key
from kidoproxy.django.pools import RedisCopy, RedisRing
from kidoproxy.django.replies import Replies

__all__ = ["KidoCache", "MigrationSerializer", "RedisCopy", "RedisRing", "Replies", "bare_key"]
