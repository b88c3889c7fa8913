# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""For the time of a migration from the backends of 2015: their keys, and the values that they wrote.

They sent what they were given, as redis-py did it then: text as UTF-8, numbers as digits, everything else as ``str`` of
it, and what the program had pickled itself as those bytes. Django writes integers as digits, all else as pickles.
"""

import io
import pickle
import re
from collections.abc import Callable, Set
from typing import Any, ClassVar, Final

from django.core.cache.backends.redis import RedisSerializer

#: What Django itself writes for an integer; `int` would take `` 7`` and ``1_000`` for numbers, too, which are texts.
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)\Z")
#: A pickle of protocol 2 or later: no text in UTF-8 begins so.
_BINARY_PICKLE: Final = re.compile(rb"\x80[\x02-\x05].*\.\Z", re.DOTALL)
_LAST_PROTOCOL_OF_PYTHON_2: Final = 2
#: A pickle of protocol 0 or 1, Python 2's default, ends in a dot and is no single line of plain text.
_OLD_PICKLE: Final = re.compile(rb".*[\x00-\x1f].*\.\Z", re.DOTALL)


class MigrationSerializer(RedisSerializer):
    """Reads what the ancestor wrote and what Django writes; writes as Django does.

    ``OPTIONS = {"serializer": "kidoproxy.django.MigrationSerializer"}``. A text comes back as str, bytes that are no
    UTF-8 as bytes, digits as int, pickles as what they hold.
    """

    #: Module and name of what a pickle of protocol 0 or 1 may build, for a visitor may write a text that is one. A
    #: project that pickled classes of its own adds them in a class derived from this one.
    safe_classes: ClassVar[Set[tuple[str, str]]] = frozenset(
        {
            *(("datetime", name) for name in ("date", "datetime", "time", "timedelta")),
            *(("__builtin__", name) for name in ("complex", "frozenset", "set")),
            ("collections", "OrderedDict"),
            ("decimal", "Decimal"),
        }
    )

    def loads(self, data: bytes) -> Any:
        """The value of these bytes. Raises what pickle raises for a pickle of a class that is gone, or not safe."""
        if _INTEGER.match(data):
            return int(data)
        if _BINARY_PICKLE.match(data):
            return pickle.loads(data) if data[1] > _LAST_PROTOCOL_OF_PYTHON_2 else _Python2Unpickler(data).load()
        if _OLD_PICKLE.match(data) and _is_pickle(data):
            return _SafeUnpickler(data, self.safe_classes).load()
        return _text(data)


def bare_key(key: str, key_prefix: str, version: int) -> str:
    """For ``KEY_FUNCTION``: the key alone, as the ancestor sent it. Versions and prefixes mean nothing then."""
    return str(key)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _is_pickle(data: bytes) -> bool:
    """Whether all of it is one, down to the last byte. Nothing that it names is looked up or called."""
    stream = io.BytesIO(data)
    try:
        _RehearsalUnpickler(stream, encoding="latin-1").load()
    except Exception:  # noqa: BLE001 (pickle raises whatever it stumbles over: then it was a text)
        return False
    return not stream.read()


class _Anything:
    """Stands for every class, function and object that a pickle names."""

    def __init__(self, *args: object) -> None:
        """Of any arguments."""

    def __call__(self, *args: object) -> "_Anything":
        return self

    def __setstate__(self, state: object) -> None:
        """Of any state."""

    def __setitem__(self, key: object, value: object) -> None:
        """As maps have it."""

    def append(self, value: object) -> None:
        """As lists have it."""


class _RehearsalUnpickler(pickle.Unpickler):
    """Goes through a pickle as the real one does, and builds nothing but numbers and texts."""

    def find_class(self, module: str, name: str) -> Any:
        return _Anything


class _Python2Unpickler(pickle.Unpickler):
    """Reads the str of Python 2, which is bytes without an encoding, as UTF-8, and loses nothing of what is none."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8", errors="surrogateescape")

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        has_state = module == "datetime" and name in ("date", "datetime", "time")
        return _from_bytes(found) if has_state else found


class _SafeUnpickler(_Python2Unpickler):
    """Builds plain data and what is known to be harmless, nothing that a text from a visitor could call."""

    def __init__(self, data: bytes, safe_classes: Set[tuple[str, str]]) -> None:
        super().__init__(data)
        self._safe_classes = safe_classes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._safe_classes:
            raise pickle.UnpicklingError(
                f"{module}.{name} in a pickle of protocol 0 or 1, which may be a text that somebody wrote; "
                "safe_classes of MigrationSerializer says what may be built"
            )
        return super().find_class(module, name)


def _from_bytes(kind: Callable[..., Any]) -> Callable[..., Any]:
    """A date or time of Python 2, whose state is a str that is no text."""

    def build(state: Any, *more: Any) -> Any:
        return kind(state.encode("utf-8", "surrogateescape") if isinstance(state, str) else state, *more)

    return build
