"""`kidoproxy.replies.merge_info`: INFO in Redis's own format, with sums where a sum means something."""

import pytest

from kidoproxy.commands.spec import MERGE_INFO
from kidoproxy.replies.merge import merge
from kidoproxy.replies.merge_info import format_size, merge_info
from kidoproxy.resp.decode import string_value as payload
from kidoproxy.resp.encode import bulk


def node(text: str) -> bytes:
    """A node's INFO reply with this text."""
    return bulk(text.replace("\n", "\r\n").encode())


def merged(*texts: str, extra: str = "") -> list[str]:
    """The lines of the merged text; ``extra`` are sections of the proxy."""
    extra_sections = [extra.replace("\n", "\r\n").encode()] if extra else []
    return payload(merge_info([node(text) for text in texts], 2, extra_sections)).decode().split("\r\n")


FIELD_CASES = [
    ("redis_version", ["7.0.15", "7.2.4"], "7.0.15"),
    ("role", ["master", "slave"], "master"),
    ("uptime_in_seconds", ["100", "7"], "7"),
    ("connected_clients", ["3", "4"], "7"),
    ("used_memory", ["1000", "24"], "1024"),
    ("used_cpu_sys", ["0.002914", "1.1"], "1.102914"),
    ("instantaneous_input_kbps", ["0.25", "1.50"], "1.75"),
    ("total_commands_processed", ["5", "6"], "11"),
    ("total_system_memory", ["16", "32"], "32"),
    ("keyspace_hits", ["5", "6"], "11"),
    ("expired_keys", ["1", "2"], "3"),
    ("evicted_keys", ["1", "2"], "3"),
    ("expired_stale_perc", ["0.50", "0.25"], "0.50"),
    ("mem_allocator", ["jemalloc-5.3.0", "libc"], "jemalloc-5.3.0"),
    ("maxmemory", ["100", "200"], "300"),
    ("maxmemory", ["100", "0"], "0"),
    ("loading", ["0", "1"], "1"),
    ("rdb_last_save_time", ["1700000000", "1600000000"], "1600000000"),
    ("rdb_last_bgsave_status", ["ok", "err"], "err"),
    ("aof_last_write_status", ["ok", "ok"], "ok"),
    ("cmdstat_get", ["calls=2,usec=17,usec_per_call=8.50", "calls=1,usec=4,usec_per_call=4.00"],
     "calls=3,usec=21,usec_per_call=7.00"),
    ("cmdstat_get", ["calls=0,usec_per_call=0.00", "calls=0,usec_per_call=0.00"], "calls=0,usec_per_call=0.00"),
    ("errorstat_ERR", ["count=2", "count=3"], "count=5"),
    ("latency_percentiles_usec_get", ["p50=1.003,p99=12.031", "p50=2.007,p99=4.015"], "p50=2.007,p99=12.031"),
    ("db0", ["keys=2,expires=1,avg_ttl=1000", "keys=5,expires=3,avg_ttl=2000"], "keys=7,expires=4,avg_ttl=1750"),
    ("db0", ["keys=2,expires=0,avg_ttl=0", "keys=5,expires=0,avg_ttl=0"], "keys=7,expires=0,avg_ttl=0"),
    ("db0", ["keys=1,expires=x,avg_ttl=1", "keys=1,expires=1,avg_ttl=9"], "keys=2,expires=x,avg_ttl=9"),
    ("dbx", ["a", "b"], "a"),
    ("slave0", ["ip=1", "ip=2"], "ip=1"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "values", "expected"), FIELD_CASES)
def test_fields(field: str, values: list[str], expected: str) -> None:
    """Counts are summed, of limits the worst is taken, and what describes a server is the first one's."""
    assert merged(*[f"# S\n{field}:{value}\n" for value in values]) == ["# S", f"{field}:{expected}", ""]


def test_one_node_is_unchanged() -> None:
    """Nothing is computed where there is nothing to add."""
    text = "# Memory\nused_memory:10\nused_memory_human:10.00B\nmem_fragmentation_ratio:7.70\n\n# Modules\n"

    assert merge(MERGE_INFO, [node(text)], 2) == node(text)


def test_derived_fields_are_computed_again() -> None:
    """Ratios and readable sizes are those of the sums."""
    lines = merged(
        "# Memory\nused_memory:1048576\nused_memory_human:1.00M\nused_memory_rss:2097152\nused_memory_peak:2097152\n"
        "used_memory_peak_perc:50.00%\nused_memory_startup:524288\nused_memory_dataset:262144\n"
        "used_memory_dataset_perc:50.00%\nmem_fragmentation_ratio:2.00\nx_human:1\nallocator_frag_ratio:1.00\n",
        "# Memory\nused_memory:1048576\nused_memory_human:1.00M\nused_memory_rss:4194304\nused_memory_peak:1048576\n"
        "used_memory_peak_perc:100.00%\nused_memory_startup:524288\nused_memory_dataset:524288\n"
        "used_memory_dataset_perc:100.00%\nmem_fragmentation_ratio:4.00\nx_human:2\nallocator_frag_ratio:1.00\n",
    )

    assert "used_memory_human:2.00M" in lines
    assert "used_memory_peak_perc:66.67%" in lines
    assert "used_memory_dataset_perc:75.00%" in lines
    assert "mem_fragmentation_ratio:3.00" in lines
    assert "x_human:1" in lines
    assert "allocator_frag_ratio:0.00" in lines


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (941232, "919.17K"), (3 << 30, "3.00G"), (1 << 65, "32768.00P")],
)
def test_readable_sizes(size: int, text: str) -> None:
    """In Redis's notation."""
    assert format_size(size) == text


def test_sections_and_databases_keep_their_order() -> None:
    """Sections are in the order of the first node that has them, databases in the order of their numbers."""
    lines = merged(
        "# Server\na:1\n\n# Keyspace\ndb3:keys=1,expires=0,avg_ttl=0\n",
        "# Server\nb:2\n\n# Cluster\nc:3\n\n# Keyspace\ndb0:keys=4,expires=0,avg_ttl=0\nnote:5\n",
    )

    assert lines == [
        "# Server", "a:1", "b:2", "",
        "# Keyspace", "note:5", "db0:keys=4,expires=0,avg_ttl=0", "db3:keys=1,expires=0,avg_ttl=0", "",
        "# Cluster", "c:3", "",
    ]  # fmt: skip


def test_modules() -> None:
    """All modules are listed; one that several nodes have is listed once."""
    assert merged(
        "# Modules\nmodule:name=json,ver=1\nmodule:name=bf,ver=1\n", "# Modules\nmodule:name=json,ver=1\n"
    ) == ["# Modules", "module:name=json,ver=1", "module:name=bf,ver=1", ""]


def test_sections_of_the_proxy() -> None:
    """They follow; fields of a section that the nodes have too are set or added there."""
    lines = merged(
        "# Server\na:1\n\n# Clients\nconnected_clients:9\nblocked_clients:0\n",
        extra="# Clients\nconnected_clients:2\nproxy_sessions:3\n\n# Kidoproxy\nversion:1\nplain line\n",
    )

    assert lines == [
        "# Server", "a:1", "",
        "# Clients", "connected_clients:2", "blocked_clients:0", "proxy_sessions:3", "",
        "# Kidoproxy", "version:1", "plain line", "",
    ]  # fmt: skip


def test_both_protocols() -> None:
    """A bulk string in RESP2, a verbatim one in RESP3, whatever the nodes sent; bytes that are not UTF-8 are kept."""
    text = b"# Server\r\nconfig_file:/\xff\r\n"
    verbatim = b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text)

    assert merge(MERGE_INFO, [bulk(text), bulk(text)], 3) == verbatim
    assert merge(MERGE_INFO, [verbatim, verbatim], 2) == bulk(text)


def test_an_unknown_section() -> None:
    """INFO of a section that no node has is empty, as in Redis."""
    assert merge(MERGE_INFO, [bulk(b""), bulk(b"")], 2) == bulk(b"")
