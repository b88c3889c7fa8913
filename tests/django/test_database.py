# mypy: disable-error-code="import-untyped"
"""Five places may name the database."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.database import database_of


@pytest.mark.parametrize(
    ("servers", "params", "db"),
    [
        (["redis://h/0"], {}, 0),
        (["redis://h"], {}, None),
        (["h:1", "h:2"], {"DB": "3"}, 3),
        (["h:1"], {"OPTIONS": {"DB": 3}}, 3),
        (["redis://h/3"], {"DB": 3, "OPTIONS": {"DB": "3", "db": 3}}, 3),
        (["redis://h?db=5"], {}, 5),
        (["::not an address"], {"DB": 1}, 1),
    ],
)
def test_they_agree(servers: list[str], params: dict[str, Any], db: int | None) -> None:
    """One number, wherever it stands."""
    assert database_of("X", servers, params) == db


@pytest.mark.parametrize(
    ("servers", "params", "why"),
    [
        (["redis://h/2"], {"DB": 3}, "DB says 3, LOCATION says 2"),
        (["h"], {"DB": 1, "OPTIONS": {"DB": 2}}, r'DB says 1, OPTIONS\["DB"\] says 2'),
        (["redis://h/0"], {"OPTIONS": {"db": 1}}, r'OPTIONS\["db"\] says 1, LOCATION says 0'),
        (["redis://a/1", "redis://b/2"], {}, "different databases"),
        (["h"], {"DB": "one"}, "DB is the number of a database, not 'one'"),
    ],
)
def test_they_do_not(servers: list[str], params: dict[str, Any], why: str) -> None:
    """Two numbers are an error that names both places: no value may land where nobody looks for it."""
    with pytest.raises(ImproperlyConfigured, match=f"X: .*{why}"):
        database_of("X", servers, params)
