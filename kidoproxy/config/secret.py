"""A value that must never be seen: not in logs, errors, ``repr`` or admin pages."""

from typing import Final, final


@final
class Secret:
    """Holds a string that only `reveal` shows. False when empty, equal when the strings are equal."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself; ask for it as late as possible."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


NO_SECRET: Final = Secret()
