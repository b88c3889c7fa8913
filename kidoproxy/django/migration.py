# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""For the time of a migration from the backends of 2015: their keys, and the values that they wrote.

They sent what they were given, as redis-py did it then: text as UTF-8, numbers as digits, everything else as ``str`` of
it, and what the program had pickled itself as those bytes. Django writes integers as digits, all else as pickles.
"""

import io
import pickle
import re
from typing import Any, Final

from django.core.cache.backends.redis import RedisSerializer

#: What Django itself writes for an integer; `int` would take `` 7`` and ``1_000`` for numbers, too, which are texts.
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)\Z")
#: A pickle of protocol 2 or later: no text in UTF-8 begins so.
_BINARY_PICKLE: Final = re.compile(rb"\x80[\x02-\x05].*\.\Z", re.DOTALL)
#: A pickle of protocol 0 or 1, Python 2's default, ends in a dot and is no single line of plain text.
_OLD_PICKLE: Final = re.compile(rb".*[\x00-\x1f].*\.\Z", re.DOTALL)


class MigrationSerializer(RedisSerializer):
    """Reads what the ancestor wrote and what Django writes; writes as Django does.

    ``OPTIONS = {"serializer": "kidoproxy.django.MigrationSerializer"}``. A text comes back as str, bytes that are no
    UTF-8 as bytes, digits as int, pickles as what they hold.
    """

    def loads(self, data: bytes) -> Any:
        """The value of these bytes. Raises what pickle raises for a pickle of a class that is gone."""
        if _INTEGER.match(data):
            return int(data)
        if _BINARY_PICKLE.match(data):
            return _load_pickle(data)
        if _OLD_PICKLE.match(data):
            try:
                return _load_old_pickle(data)
            except Exception:  # noqa: BLE001 (pickle raises whatever it stumbles over: then it was a text)
                return _text(data)
        return _text(data)


def bare_key(key: str, key_prefix: str, version: int) -> str:
    """For ``KEY_FUNCTION``: the key alone, as the ancestor sent it. Versions and prefixes mean nothing then."""
    return str(key)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _load_pickle(data: bytes) -> Any:
    try:
        # The str of Python 2 is bytes without an encoding: mostly UTF-8.
        return pickle.loads(data, encoding="utf-8")
    except (UnicodeDecodeError, TypeError, ValueError):
        # Its datetimes keep their state in such a str, and are only read as Latin-1.
        return pickle.loads(data, encoding="latin-1")


class _PlainUnpickler(pickle.Unpickler):
    """Builds numbers, texts, lists, maps and tuples, and nothing that a text from a visitor could call."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} in a pickle of protocol 0 or 1")


def _load_old_pickle(data: bytes) -> Any:
    stream = io.BytesIO(data)
    value = _PlainUnpickler(stream, encoding="utf-8").load()
    if stream.read():
        raise pickle.UnpicklingError("there is more behind the pickle")
    return value
