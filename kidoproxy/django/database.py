# mypy: disable-error-code="import-untyped"
"""The number of the database, which Django's settings can give in five places: they agree, or there is none."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.addresses import parse_node


def database_of(backend: str, servers: Sequence[str], params: dict[str, Any]) -> int | None:
    """What DB, OPTIONS and LOCATION say, None if they are silent. Raises ImproperlyConfigured if they differ."""
    options = params.get("OPTIONS", {})
    said: dict[str, int] = {}
    for place, value in (
        ("DB", params.get("DB")),
        ('OPTIONS["DB"]', options.get("DB")),
        ('OPTIONS["db"]', options.get("db")),
    ):
        if value is not None:
            said[place] = _number(backend, place, value)
    for server in servers:
        db = _database_in(server)
        if db is not None and said.setdefault("LOCATION", db) != db:
            raise ImproperlyConfigured(f"{backend}: the addresses in LOCATION name different databases.")
    if len(set(said.values())) > 1:
        places = ", ".join(f"{place} says {number}" for place, number in said.items())
        raise ImproperlyConfigured(f"{backend}: which database? {places}.")
    return next(iter(said.values()), None)


def _number(backend: str, place: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ImproperlyConfigured(f"{backend}: {place} is the number of a database, not {value!r}.") from None


def _database_in(server: str) -> int | None:
    try:
        return parse_node(server).db
    except ValueError:
        return None  # whoever connects to it says what is wrong
