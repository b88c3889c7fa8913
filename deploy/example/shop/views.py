# mypy: disable-error-code="import-untyped,untyped-decorator"
"""The pages."""

import time
from typing import Any

from django.core.cache import cache, caches
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.html import format_html, format_html_join
from django.views.decorators.cache import cache_page
from redis.exceptions import RedisError

from kidoproxy.django.served import client_of, node_statuses, owners

from .tasks import total

PRODUCTS = ("apples", "bread", "cheese", "dates", "eggs", "figs")


def index(request: HttpRequest) -> HttpResponse:
    """Who you are, by the session; what is cached, and on which node."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    visitors = caches["locks"].incrby("visitors", 1)
    rows = [(name, cache.get_or_set(f"product:{name}", time.time, 60), _node(f"product:{name}")) for name in PRODUCTS]
    return HttpResponse(
        format_html(
            "<!doctype html><title>Shop</title><h1>Shop</h1>"
            "<p>Your visit number <b id=visits>{}</b>, of <b id=visitors>{}</b>.</p>"
            "<table><tr><th>product</th><th>computed</th><th>node</th></tr>{}</table>"
            '<p><a href="/cached">cached</a> <a href="/report">report</a> <a href="/task">task</a> '
            '<a href="/nodes">nodes</a></p>',
            request.session["visits"],
            visitors,
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        )
    )


def _node(key: str) -> str:
    """The node on which this key lives, as the proxy says."""
    try:
        return ", ".join(sorted(name for names in owners(client_of(cache), (cache.make_key(key),)) for name in names))
    except RedisError:
        return "?"


@cache_page(60)
def cached(request: HttpRequest) -> HttpResponse:
    """Computed once a minute."""
    return HttpResponse(f"{time.time()}\n", content_type="text/plain")


def report(request: HttpRequest) -> HttpResponse:
    """One writes it at a time, however many processes there are."""
    with caches["locks"].lock("report", timeout=10, blocking_timeout=5):
        number = caches["locks"].incrby("reports", 1)
    return HttpResponse(f"{number}\n", content_type="text/plain")


def task(request: HttpRequest) -> HttpResponse:
    """Done by the Celery worker."""
    return HttpResponse(f"{total.delay([1, 2, 3]).get(timeout=20)}\n", content_type="text/plain")


def nodes(request: HttpRequest) -> JsonResponse:
    """All pools and their nodes: name, address, state."""
    found: dict[str, list[dict[str, Any]]] = {
        alias: [
            {"name": node.name, "address": node.address, "state": node.state}
            for node in node_statuses(client_of(caches[alias]))
        ]
        for alias in ("default", "sessions")
    }
    return JsonResponse(found)
