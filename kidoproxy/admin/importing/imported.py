"""What an import has found, and how it is written as TOML."""

import json
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

#: Where the first pool of an import listens that says nothing of it.
FIRST_PORT: Final = 6380

Setting = str | int | bool


@dataclass(slots=True)
class ImportedNode:
    """One node; ``password`` is the variable that will hold it, never the password."""

    url: str
    name: str = ""
    weight: int = 1
    username: str = ""
    password: str = ""

    def to_toml(self) -> str:
        """A plain URL where that says all."""
        pairs: dict[str, Setting] = {"url": self.url}
        pairs |= {key: value for key in ("name", "username", "password") if (value := getattr(self, key))}
        if self.weight != 1:
            pairs["weight"] = self.weight
        if len(pairs) == 1:
            return quoted(self.url)
        return "{ " + ", ".join(f"{key} = {value_to_toml(value)}" for key, value in pairs.items()) + " }"


@dataclass(slots=True)
class ImportedPool:
    """One pool; ``comments`` stand above it."""

    name: str
    mode: str
    listen: str
    nodes: list[ImportedNode]
    settings: dict[str, Setting] = field(default_factory=dict)
    max_clients: int = 0
    comments: list[str] = field(default_factory=list)

    def to_toml(self) -> str:
        """The table of the file."""
        lines = [*(f"# {comment}" for comment in self.comments), f"[pool.{self.name}]"]
        lines += [f"listen = {quoted(self.listen)}", f"mode = {quoted(self.mode)}"]
        lines += [f"{key} = {value_to_toml(value)}" for key, value in self.settings.items()]
        lines += ["nodes = [", *(f"  {node.to_toml()}," for node in self.nodes), "]"]
        if self.max_clients:
            lines.append(f"limits = {{ max_clients = {self.max_clients} }}")
        return "\n".join(lines) + "\n"


@dataclass(slots=True)
class Imported:
    """``lost`` could not be carried over; ``notes`` are for whoever reads the file. Each names its place."""

    pools: list[ImportedPool] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_toml(self, source: str) -> str:
        """The whole file."""
        return f"# From {source}, by kidoproxy import.\n\n" + "\n".join(pool.to_toml() for pool in self.pools)


def pool_name(text: str, taken: list[str]) -> str:
    """A name that a pool may have, and no other one has."""
    name = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in text) or "pool"
    number = 2
    made = name
    while made in taken:
        made, number = f"{name}-{number}", number + 1
    return made


def variable(*words: str) -> str:
    """``CACHE_PASSWORD`` for ``cache``, ``password``."""
    return "_".join(
        "".join(char if char.isascii() and char.isalnum() else "_" for char in word) for word in words
    ).upper()


def is_plainly_encoded(password: str) -> bool:
    """Whether a URL has the password as we would write it from a variable."""
    return quote(unquote(password), safe="") == password


def value_to_toml(value: Setting) -> str:
    """A value as TOML has it; a text with ``${NAME}`` at its place is one with a variable."""
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def quoted(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def plain(text: str) -> str:
    """A text of others in which ``${`` is no variable."""
    return text.replace("${", "$${")
