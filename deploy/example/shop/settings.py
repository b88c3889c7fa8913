"""Three pools for three kinds of data; kidoproxy/django/POOLS.md says why."""

import os

PAGES = os.environ.get("PAGES_URL", "redis://127.0.0.1:6390")
SESSIONS = os.environ.get("SESSIONS_URL", "redis://127.0.0.1:6391")
QUEUES = os.environ.get("QUEUES_URL", "redis://127.0.0.1:6392")

# An example that everybody can read has no secret; a site of yours has one.
SECRET_KEY = os.environ.get("SECRET_KEY", "example")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["kidoproxy.django"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
USE_TZ = True

CACHES = {
    "default": {
        "BACKEND": "kidoproxy.django.KidoCache",
        "LOCATION": f"{PAGES}/0",
        "KEY_PREFIX": "shop",
        "OPTIONS": {"FAIL_SOFT": True, "socket_timeout": 6},
    },
    "sessions": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"{SESSIONS}/0",
        "KEY_PREFIX": "shop",
    },
    "locks": {"BACKEND": "kidoproxy.django.KidoCache", "LOCATION": f"{SESSIONS}/1", "KEY_PREFIX": "shop"},
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sessions"
CELERY_BROKER_URL = CELERY_RESULT_BACKEND = f"{QUEUES}/0"
