"""INFO of several nodes becomes one, in Redis's own format, for stock monitoring tools.

Counts are summed; of limits and durations the greatest is taken; ratios and the ``_human`` fields are computed from the
sums; what describes a server (version, role, settings) is that of the first node. Sections and fields are in the order
of the first node that has them.
"""

from typing import Final

from kidoproxy.resp.decode import string_value
from kidoproxy.resp.encode import verbatim

# The rules.
SUM: Final = 1
MAX: Final = 2
MIN: Final = 3
FIRST_NODE: Final = 4
WORST_STATUS: Final = 5
SUM_OR_UNLIMITED: Final = 6

SIZE_UNITS: Final = "BKMGTP"

#: Fields with a rule of their own.
FIELD_RULES: Final[dict[str, int]] = {
    # Of several servers the youngest: a restart anywhere shows.
    "uptime_in_seconds": MIN,
    "uptime_in_days": MIN,
    "rdb_last_save_time": MIN,
    "maxmemory": SUM_OR_UNLIMITED,
    # Several nodes may share one host; scripts are loaded on all of them.
    "total_system_memory": MAX,
    "used_memory_scripts_eval": MAX,
    "number_of_cached_scripts": MAX,
    "number_of_functions": MAX,
    "number_of_libraries": MAX,
    "pubsub_patterns": MAX,
    "loading": MAX,
    "async_loading": MAX,
    "latest_fork_usec": MAX,
    "expired_stale_perc": MAX,
    "expired_keys_with_volatile_items_stale_perc": MAX,
    "instantaneous_eventloop_duration_usec": MAX,
    "active_defrag_running": MAX,
    "module_fork_in_progress": MAX,
    "rdb_bgsave_in_progress": MAX,
    "aof_rewrite_in_progress": MAX,
    "aof_rewrite_scheduled": MAX,
    "aof_rewrites_consecutive_failures": MAX,
    "rdb_last_bgsave_status": WORST_STATUS,
    "aof_last_bgrewrite_status": WORST_STATUS,
    "aof_last_write_status": WORST_STATUS,
    "connected_clients": SUM,
    "cluster_connections": SUM,
    "blocked_clients": SUM,
    "tracking_clients": SUM,
    "pubsub_clients": SUM,
    "watching_clients": SUM,
    "clients_in_timeout_table": SUM,
    "pubsub_channels": SUM,
    "pubsubshard_channels": SUM,
    "rdb_changes_since_last_save": SUM,
    "rdb_saves": SUM,
    "aof_rewrites": SUM,
    "aof_base_size": SUM,
    "aof_current_size": SUM,
    "rejected_connections": SUM,
    "migrate_cached_sockets": SUM,
    "slave_expires_tracked_keys": SUM,
    "unexpected_error_replies": SUM,
    "dump_payload_sanitizations": SUM,
    "rss_overhead_bytes": SUM,
    "current_active_defrag_time": SUM,
    "current_eviction_exceeded_time": SUM,
    "expire_cycle_cpu_milliseconds": SUM,
}
#: Rules of fields with a common prefix, the first match counts.
PREFIX_RULES: Final[list[tuple[str, int]]] = [
    ("used_memory", SUM),
    ("used_cpu_", SUM),
    ("used_active_time_", SUM),
    ("allocator_", SUM),
    ("mem_", SUM),
    ("lazyfree", SUM),
    ("total_", SUM),
    ("instantaneous_", SUM),
    ("expired_", SUM),
    ("evicted_", SUM),
    ("keyspace_", SUM),
    ("sync_", SUM),
    ("active_defrag_", SUM),
    ("tracking_total_", SUM),
    ("io_threaded_", SUM),
    ("reply_buffer_", SUM),
    ("client_query_buffer_limit_", SUM),
    ("client_output_buffer_limit_", SUM),
    ("eventloop_", SUM),
    ("acl_access_denied_", SUM),
    ("rdb_last_load_keys_", SUM),
    ("client_recent_max_", MAX),
    ("current_", MAX),
    ("latency_percentiles_usec_", MAX),
    ("cmdstat_", SUM),
    ("errorstat_", SUM),
]
#: Ratio -> numerator, denominator, and what is subtracted from the denominator first.
RATIOS: Final[dict[str, tuple[str, str, str]]] = {
    "used_memory_peak_perc": ("used_memory", "used_memory_peak", ""),
    "used_memory_dataset_perc": ("used_memory_dataset", "used_memory", "used_memory_startup"),
    "allocator_frag_ratio": ("allocator_active", "allocator_allocated", ""),
    "allocator_rss_ratio": ("allocator_resident", "allocator_active", ""),
    "rss_overhead_ratio": ("used_memory_rss", "allocator_resident", ""),
    "mem_fragmentation_ratio": ("used_memory_rss", "used_memory", ""),
}

#: Sections of which the proxy's own fields are all that is shown, where it has any.
REPLACED_SECTIONS: Final = ("Errorstats",)

#: Section name -> field -> its values, one for each node that has it; none for a line that is no field.
GatheredFields = dict[str, dict[str, list[str]]]
#: Section name -> field -> its value; None for a line that is no field.
Sections = dict[str, dict[str, str | None]]


def merge_info(replies: list[bytes], proto: int, extra_sections: list[bytes]) -> bytes:
    """Merge INFO replies. ``extra_sections`` are texts in the same format with the proxy's own fields.

    Where the nodes have the same section its fields are set or added there: the number of clients, for one, is the
    proxy's, not the nodes'. Of `REPLACED_SECTIONS` the nodes' fields are dropped.
    """
    gathered: GatheredFields = {}
    for raw in replies:
        gather_fields(string_value(raw), gathered)
    sections: Sections = {name: merge_fields(fields) for name, fields in gathered.items()}
    proxy_sections: GatheredFields = {}
    for text in extra_sections:
        gather_fields(text, proxy_sections)
    for name, fields in proxy_sections.items():
        section = sections.setdefault(name, {})
        if name in REPLACED_SECTIONS:
            section.clear()
        for field, values in fields.items():
            section[field] = values[-1] if values else None
    return verbatim(proto, format_sections(sections))


def gather_fields(payload: bytes, into: GatheredFields) -> None:
    """Add the fields of one INFO text to ``into``."""
    section: dict[str, list[str]] = {}
    for line in payload.decode("utf-8", "surrogateescape").split("\r\n"):
        if line.startswith("# "):
            section = into.setdefault(line[2:], {})
            continue
        field, colon, value = line.partition(":")
        if colon and field != "module":
            section.setdefault(field, []).append(value)
        elif line:
            # There is one "module:" line for each module: the whole line is its name.
            section.setdefault(line, [])


def format_sections(sections: Sections) -> bytes:
    """The text of the sections, with an empty line between two."""
    blocks: list[str] = []
    for name, fields in sections.items():
        lines = [f"# {name}\r\n"]
        for field, value in fields.items():
            lines.append(f"{field}\r\n" if value is None else f"{field}:{value}\r\n")
        blocks.append("".join(lines))
    return "\r\n".join(blocks).encode("utf-8", "surrogateescape")


def merge_fields(fields: dict[str, list[str]]) -> dict[str, str | None]:
    """One value for each field; databases sorted by number."""
    names = list(fields)
    if any(is_database(name) for name in names):
        names.sort(key=database_number)
    merged_fields: dict[str, str | None] = {}
    for name in names:
        values = fields[name]
        merged_fields[name] = merge_values(name, values) if values else None
    for name in names:
        if len(fields[name]) > 1:
            recompute(name, merged_fields)
    return merged_fields


def is_database(field: str) -> bool:
    return field.startswith("db") and field[2:].isdigit()


def database_number(field: str) -> int:
    """The number in ``db3``; -1 for another field, which so comes first."""
    return int(field[2:]) if is_database(field) else -1


def field_rule_of(field: str) -> int:
    field_rule = FIELD_RULES.get(field)
    if field_rule is not None:
        return field_rule
    for prefix, prefix_rule in PREFIX_RULES:
        if field.startswith(prefix):
            return prefix_rule
    return SUM if is_database(field) else FIRST_NODE


def merge_values(field: str, values: list[str]) -> str:
    """One value for all nodes; the first where they are not numbers."""
    field_rule = field_rule_of(field)
    if len(values) == 1 or field_rule == FIRST_NODE:
        return values[0]
    if field_rule == WORST_STATUS:
        return next((value for value in values if value != "ok"), "ok")
    if "=" in values[0]:
        return merge_composite(field_rule, values)
    return combine_numbers(field_rule, values)


def combine_numbers(field_rule: int, values: list[str]) -> str:
    """Combine numbers by a rule; a sum has as many decimals as the longest of them."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return values[0]
    if field_rule == MAX:
        return values[numbers.index(max(numbers))]
    if field_rule == MIN:
        return values[numbers.index(min(numbers))]
    if field_rule == SUM_OR_UNLIMITED and 0.0 in numbers:
        return "0"  # one node has no limit, so all together have none
    decimals = max([len(value.partition(".")[2]) for value in values])
    if decimals == 0:
        return str(sum([int(number) for number in values]))
    return f"{sum(numbers):.{decimals}f}"


def merge_composite(field_rule: int, values: list[str]) -> str:
    """``calls=2,usec=17,usec_per_call=8.50``: each part by the rule, averages from the sums."""
    parts: dict[str, list[str]] = {}
    for value in values:
        for part in value.split(","):
            name, _, number = part.partition("=")
            parts.setdefault(name, []).append(number)
    merged = {name: combine_numbers(field_rule, numbers) for name, numbers in parts.items()}
    if "usec_per_call" in merged:
        merged["usec_per_call"] = f"{quotient(merged.get('usec'), merged.get('calls')):.2f}"
    if "avg_ttl" in merged:
        merged["avg_ttl"] = str(average_ttl(parts["avg_ttl"], parts.get("expires", [])))
    return ",".join([f"{name}={number}" for name, number in merged.items()])


def average_ttl(ttls: list[str], weights: list[str]) -> int:
    """The mean time to live, weighted by how many keys of each node expire."""
    key_count = 0
    weighted_sum = 0
    for ttl, weight in zip(ttls, weights, strict=False):
        if ttl.isdigit() and weight.isdigit():
            key_count += int(weight)
            weighted_sum += int(ttl) * int(weight)
    return weighted_sum // key_count if key_count else 0


def recompute(field: str, merged_fields: dict[str, str | None]) -> None:
    """Compute a ratio or ``_human`` field from the merged values."""
    if field.endswith("_human"):
        base = merged_fields.get(field.removesuffix("_human"))
        if base is not None and base.isdigit():
            merged_fields[field] = format_size(int(base))
    ratio = RATIOS.get(field)
    if ratio is not None:
        numerator, denominator, subtrahend = ratio
        quotient_value = quotient(
            merged_fields.get(numerator), merged_fields.get(denominator), merged_fields.get(subtrahend)
        )
        merged_fields[field] = f"{quotient_value * 100:.2f}%" if field.endswith("_perc") else f"{quotient_value:.2f}"


def quotient(numerator: str | None, denominator: str | None, subtrahend: str | None = None) -> float:
    """``numerator / (denominator - subtrahend)``; 0 if one is not a number or the divisor is 0."""
    try:
        return float(numerator or 0) / (float(denominator or 0) - float(subtrahend or 0))
    except (ValueError, ZeroDivisionError):
        return 0.0


def format_size(size: int) -> str:
    """A number of bytes as Redis writes it in ``_human`` fields."""
    if size < 1024:
        return f"{size}B"
    value = float(size)
    unit = 0
    while value >= 1024 and unit < len(SIZE_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.2f}{SIZE_UNITS[unit]}"
