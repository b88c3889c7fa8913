"""Every setting with its default and its sentence, made from `schema`: a whole file to start from, or a table.

The file is valid as it is; a line that is commented out shows the default, or an example beside it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from kidoproxy.config.changes import (
    LIMITS_RULES,
    NODE_RULES,
    POOL_RULES,
    PROXY_RULES,
    TLS_RULES,
    USER_RULES,
    Rules,
)
from kidoproxy.config.schema import LimitsTable, NodeTable, PoolTable, ProxyTable, UserTable
from kidoproxy.config.schema_base import Table
from kidoproxy.config.schema_tls import TlsTable

#: The tables in the order of the file, by the header that they have there.
TABLES: Final[tuple[tuple[str, type[Table]], ...]] = (
    ("proxy", ProxyTable),
    ("pool.cache", PoolTable),
    ("pool.cache.users.app", UserTable),
    ("pool.cache.limits", LimitsTable),
    ("pool.cache.tls", TlsTable),
)
_RULES: Final[dict[type[Table], Rules]] = {
    ProxyTable: PROXY_RULES,
    PoolTable: POOL_RULES,
    UserTable: USER_RULES,
    LimitsTable: LIMITS_RULES,
    TlsTable: TLS_RULES,
    NodeTable: NODE_RULES,
}
_WIDTH: Final = 96
_UNCOMMENTED: Final = frozenset({"listen", "mode", "nodes"})
_INTRO: Final = """\
# kidoproxy: every setting. What is commented out is the default, or an example where that is said.
# "${NAME}" in any string is replaced from the environment. Check this file: kidoproxy check --config FILE
"""
_NODE_INTRO: Final = """\
# A node that needs more than a URL is a table among the nodes. Its keys:
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file, as text."""

    table: str
    key: str
    default: str  # as TOML; empty when there is none
    example: str
    bounds: str
    only_mode: str  # the mode that knows this key; empty for both
    is_live: bool  # a reload applies a change of it
    description: str

    @property
    def full_description(self) -> str:
        """The meaning with bounds and mode."""
        only = f"Only in a {self.only_mode} pool. " if self.only_mode else ""
        return f"{only}{self.description}{f' {self.bounds}.' if self.bounds else ''}"


def settings(header: str, table: type[Table]) -> Iterator[Setting]:
    """The keys of one table, but not the tables below it."""
    for key, field in table.model_fields.items():
        if any(
            isinstance(held_type, type) and issubclass(held_type, Table) for held_type in _held_types(field.annotation)
        ):
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
        yield Setting(
            table=header,
            key=key,
            default="" if default is None else to_toml(default),
            example=to_toml(field.examples[0]) if field.examples else "",
            bounds=_bounds_text(field),
            only_mode=str(extra.get("only", "")),
            is_live=_RULES[table][key].is_live,
            description=field.description or "",
        )


def example_file() -> str:
    """A whole commented file."""
    parts = [_INTRO]
    for header, table in TABLES:
        comment_prefix = "" if header in ("proxy", "pool.cache") else "# "
        lines = [f"{comment_prefix}[{header}]"]
        for setting in settings(header, table):
            lines += ["", *_comment(setting.full_description), _setting_line(setting)]
        if table is PoolTable:
            lines += ["", _NODE_INTRO.rstrip(), *(f"#   {line}" for line in _node_lines())]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def markdown_table() -> str:
    """The same as a table for a README."""
    rows = ["| table | key | default | change | meaning |", "| --- | --- | --- | --- | --- |"]
    tables: list[tuple[str, type[Table]]] = [*TABLES, ("a node", NodeTable)]
    for header, table in tables:
        for setting in settings(header.replace("cache", "NAME").replace("app", "USER"), table):
            default = f"`{setting.default}`" if setting.default else ""
            change = "live" if setting.is_live else "restart"
            meaning = setting.full_description.replace("|", "&#124;")
            rows.append(f"| {setting.table} | `{setting.key}` | {default} | {change} | {meaning} |")
    return "\n".join(rows) + "\n"


def to_toml(value: Any) -> str:
    """A value as TOML writes it inline."""
    if isinstance(value, list):
        return f"[{', '.join(to_toml(item) for item in value)}]"
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {to_toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    # What JSON writes for strings, numbers and truth is TOML too.
    return json.dumps(value, ensure_ascii=False)


def _setting_line(setting: Setting) -> str:
    line = f"{setting.key} = {setting.example or setting.default}"
    if setting.key in _UNCOMMENTED:
        return line
    default = f"; the default is {setting.default}" if setting.default else ""
    remark = f"  # an example{default}" if setting.example else ""
    return f"# {line}{remark}"


def _node_lines() -> Iterator[str]:
    shown = [setting for setting in settings("node", NodeTable) if setting.key != "password_file"]
    yield "nodes = [{ " + ", ".join(f"{item.key} = {item.example or item.default}" for item in shown) + " }]"
    for setting in settings("node", NodeTable):
        yield from wrap(f"{setting.key}: {setting.full_description}", _WIDTH, subsequent_indent="  ")


def _held_types(annotation: Any) -> tuple[Any, ...]:
    """What a key holds: the annotation itself, or what a table of tables has in it."""
    return get_args(annotation) if get_origin(annotation) is dict else (annotation,)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, _WIDTH)]


def _bounds_text(field: FieldInfo) -> str:
    minimum = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    maximum = next((rule.le for rule in field.metadata if isinstance(rule, Le)), None)
    if minimum is None:
        return ""
    return f"At least {minimum}" if maximum is None else f"{minimum} to {maximum}"
