# mypy: disable-error-code="import-untyped"
"""``python -m tests.outage.pages``: the pages of a Django site that are lost when a node goes.

For each backend, kind of pool and setting a fresh pool is filled, its first node is killed, or frozen, or killed and
started again empty half a second later, and eight visitors at once ask for pages for a second and a half. A page is a
view with ``cache_page`` that has four fragments by ``get_many``; what is missing is computed, and stored. It is lost
when an exception comes of it. A cell reads *lost, computed again, slowest*: parts of all pages, and seconds. It takes
about two minutes on two processors.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import override_settings
from django.views.decorators.cache import cache_page

from tests.live.django_backends import COPY, KIDO, STOCK
from tests.live.proxies import RunningProxy, Starter, starter

VISITORS: Final = 8
SECONDS: Final = 1.5
#: From one page of a visitor to the next, unless that took longer.
INTERVAL: Final = 0.05
RESTART_SECONDS: Final = 0.5
FRAGMENTS: Final = 4
DJANGO_REDIS: Final = "django_redis.cache.RedisCache"


@dataclass(frozen=True, slots=True)
class Setting:
    """A backend on a pool; ``said`` is what the settings of both are beside the defaults."""

    backend: str
    mode: str
    said: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> str:
        """Its first cells of the table."""
        return f"| `{self.backend.rpartition('.')[2]}` of {PACKAGES[self.backend]} | {self.mode} | {self.said} |"


PACKAGES: Final = {STOCK: "Django", DJANGO_REDIS: "django-redis", KIDO: "kidoproxy", COPY: "kidoproxy"}
SETTINGS: Final = (
    Setting(STOCK, "ring"),
    Setting(STOCK, "ring", '`on_down = "miss"`', pool={"on_down": "miss"}),
    Setting(DJANGO_REDIS, "ring"),
    Setting(DJANGO_REDIS, "ring", "`IGNORE_EXCEPTIONS`", {"IGNORE_EXCEPTIONS": True}),
    Setting(KIDO, "ring", "`FAIL_SOFT`", {"FAIL_SOFT": True}),
    Setting(STOCK, "copy"),
    Setting(DJANGO_REDIS, "copy"),
    Setting(COPY, "copy"),
    Setting(KIDO, "copy", "`FAIL_SOFT`", {"FAIL_SOFT": True}),
)


def restart(proxy: RunningProxy) -> None:
    """Kill the node; it is back, empty, a moment later."""
    proxy.kill(0)
    time.sleep(RESTART_SECONDS)
    proxy.restart(0)


HARMS: Final[dict[str, Callable[[RunningProxy], None]]] = {
    "killed": lambda proxy: proxy.kill(0),
    "frozen": lambda proxy: proxy.pause(0),
    "restarted": restart,
}


@dataclass
class Outcome:
    """What became of the pages. ``errors``: how often each, by its first word."""

    asked: int = 0
    lost: int = 0
    computed: int = 0
    slowest: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)

    def cell(self) -> str:
        """For the table."""
        return f"{self.lost / self.asked:.0%}, {self.computed / self.asked:.0%}, {self.slowest:.1f} s"


class Site:
    """The pages, and what has become of those that were asked for."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.computing = threading.local()

    def view(self, request: HttpRequest) -> HttpResponse:
        self.computing.happened = True
        return HttpResponse(f"page {request.path}")

    def page(self, number: int) -> bool:
        """Show one page; whether something of it had to be computed."""
        self.computing.happened = False
        names = [f"fragment:{number}:{at}" for at in range(FRAGMENTS)]
        found = caches["default"].get_many(names)
        missing = [name for name in names if name not in found]
        if missing:
            caches["default"].set_many(dict.fromkeys(missing, "text"), 600)
        response = cache_page(600)(self.view)(RequestFactory().get(f"/{number}"))
        assert response.content == f"page /{number}".encode()
        return bool(missing) or self.computing.happened

    def ask(self, number: int) -> None:
        """Ask for a page, and note what comes of it."""
        begun = time.monotonic()
        computed, error = False, ""
        try:
            computed = self.page(number)
        except Exception as raised:  # noqa: BLE001 - whatever a backend raises is a lost page
            error = str(raised).split(" ")[0] or type(raised).__name__
        taken = time.monotonic() - begun
        self.outcome.asked += 1
        self.outcome.lost += bool(error)
        self.outcome.computed += computed
        self.outcome.slowest = max(self.outcome.slowest, taken)
        if error:
            self.outcome.errors[error] += 1

    def visit(self, numbers: Sequence[int], pause: float) -> None:
        """One visitor asks for these pages, one after another."""
        for number in numbers:
            due = time.monotonic() + pause
            self.ask(number)
            time.sleep(max(due - time.monotonic(), 0))


def measure(start: Starter, setting: Setting, harm: str, seconds: float = SECONDS) -> Outcome:
    """Fill a fresh pool, harm its first node, and ask for each page once."""
    more: dict[str, Any] = {"heal": "auto"} if setting.mode == "copy" else {}
    count = max(int(seconds / INTERVAL), 1)
    pages = [range(at * count, (at + 1) * count) for at in range(VISITORS)]
    with start(setting.mode, 3 if setting.mode == "ring" else 2, tcp=True, **setting.pool, **more) as proxy:
        conf = {"BACKEND": setting.backend, "LOCATION": f"{proxy.url}/0", "OPTIONS": setting.options}
        with override_settings(CACHES={"default": conf}, ALLOWED_HOSTS=["testserver"]):
            together(lambda numbers: Site().visit(numbers, 0), pages)
            site = Site()
            harming = threading.Thread(target=HARMS[harm], args=[proxy])
            harming.start()
            together(lambda numbers: site.visit(numbers, INTERVAL), pages)
            harming.join()
            return site.outcome


def together(act: Callable[[Sequence[int]], None], parts: Sequence[Sequence[int]]) -> None:
    """One thread for each part, with a cache of its own. Connections, which django-redis shares, are closed last."""
    used: list[Any] = []

    def visitor(numbers: Sequence[int]) -> None:
        act(numbers)
        used.extend(caches.all(initialized_only=True))

    threads = [threading.Thread(target=visitor, args=[part]) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for cache in used:
        client = getattr(cache, "client", None) or cache._cache  # django-redis has the first, all others the second
        client.get_client(write=True).connection_pool.disconnect()


def main(argv: list[str]) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.outage.pages", description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=["ring", "copy"], help="only pools of this kind")
    parser.add_argument("--harm", action="append", choices=list(HARMS), help="only this")
    options = parser.parse_args(argv)
    harms = options.harm or list(HARMS)
    sys.stdout.write(
        f"| backend | pool | setting | {' | '.join(harms)} |\n| --- | --- | --- |{' --- |' * len(harms)}\n"
    )
    with tempfile.TemporaryDirectory() as folder, starter(Path(folder)) as start:
        for setting in SETTINGS:
            if options.mode in (None, setting.mode):
                found = [measure(start, setting, harm) for harm in harms]
                sys.stdout.write(f"{setting.row} {' | '.join(outcome.cell() for outcome in found)} |\n")
                sys.stdout.flush()
                for harm, outcome in zip(harms, found, strict=True):
                    sys.stderr.write(f"{harm}: {outcome}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
