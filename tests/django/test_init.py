"""What an import of the backends brings along."""

import subprocess
import sys


def test_needs_nothing_of_the_proxy() -> None:
    """The backends import Django alone: redis-py when a connection is made, the proxy's core never."""
    look = (
        "import sys, kidoproxy.django\n"
        "ours = {name for name in sys.modules if name.startswith('kidoproxy')}\n"
        "print(sorted(name for name in ours if not (name + '.').startswith(('kidoproxy.django.'))))\n"
        "print('redis' in sys.modules)\n"
    )
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert seen.stdout.split("\n")[:2] == ["['kidoproxy']", "False"]


def test_works_where_only_django_and_redis_py_are() -> None:
    """Every file of the backends can be imported where nothing is installed that the proxy alone needs."""
    look = """
import pkgutil, sys

LACKING = "annotated_types click hiredis mypy_extensions prometheus_client pydantic uhashring uvloop".split()


class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKING:
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Lacking())
from django.conf import settings

settings.configure()
import kidoproxy.django, redis

names = [module.name for module in pkgutil.walk_packages(kidoproxy.django.__path__, "kidoproxy.django.")]
for name in names:
    __import__(name)
cache = kidoproxy.django.KidoCache("redis://127.0.0.1:1/0", {"OPTIONS": {"FAIL_SOFT": True}})
print(len(names) > 20, cache.get("key", "miss"))
"""
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert seen.stdout == "True miss\n"
