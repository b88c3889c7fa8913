# mypy: disable-error-code="import-untyped"
"""``manage.py kidoproxy`` where there is no proxy; with one in tests/live/test_django_checks.py."""

import io
from typing import Any

import django
import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from kidoproxy.django.management.commands.kidoproxy import Command
from tests.ports import free_port

django.setup()


def run(location: str, *args: str) -> str:
    """What it says, with one cache."""
    out = io.StringIO()
    conf: dict[str, Any] = {"BACKEND": "kidoproxy.django.KidoCache", "LOCATION": location}
    with override_settings(CACHES={"default": conf}):
        call_command(Command(), *args, stdout=out)
    return out.getvalue()


def test_a_plain_redis(node_url: str) -> None:
    """It is said to be one, and has every key."""
    assert run(node_url).endswith("database 0: a Redis, and no kidoproxy\n")
    with pytest.raises(CommandError, match="every key is there"):
        run(node_url, "key")


def test_nobody_is_there() -> None:
    """One line, and exit status 1; no traceback."""
    location = f"redis://:secret@127.0.0.1:{free_port()}"
    with pytest.raises(CommandError, match="not well: default"):
        run(location)
    with pytest.raises(CommandError, match=r"default: .*refused") as raised:
        run(location, "key")
    assert "secret" not in str(raised.value)


def test_an_address_that_cannot_be_read() -> None:
    """One line, too, and nothing of what may be a password."""
    with pytest.raises(CommandError, match="default: LOCATION: its address cannot be read") as raised:
        run("redis://:pass/word@127.0.0.1:6379", "key")
    assert "pass" not in str(raised.value)
