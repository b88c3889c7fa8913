"""The status of the proxy as lines for a terminal: what ``kidoproxy top`` shows. Plain text, no colour."""

from typing import Any, Final

from kidoproxy.net.logs import replace_control_characters

Document = dict[str, Any]
#: How many errors, keys and slow requests are shown.
SHOWN: Final = 5
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
#: A cell that is longer is cut.
MAX_CELL: Final = 40


def status_lines(now: Document, before: Document | None, width: int) -> list[str]:
    """All lines; rates are those since ``before``, if that is of the same process. None is longer than ``width``."""
    seconds = seconds_between(now, before)
    lines = [*head_lines(now, before, seconds), "", *node_lines(now, before, seconds)]
    for title, rows in (("errors", error_rows(now)), ("hot keys", hot_rows(now)), ("slow requests", slow_rows(now))):
        if rows:
            lines += ["", title, *columns(rows)]
    return [replace_control_characters(line)[:width] for line in lines]


def seconds_between(now: Document, before: Document | None) -> float:
    """0.0 if nothing can be said of the time between them."""
    if before is None or before["started_ms"] != now["started_ms"]:
        return 0.0
    milliseconds: int = now["time_ms"] - before["time_ms"]
    return max(milliseconds, 0) / 1000


def head_lines(now: Document, before: Document | None, seconds: float) -> list[str]:
    workers = f", {len(now['workers'])} workers" if len(now["workers"]) > 1 else ""
    uptime = span((now["time_ms"] - now["started_ms"]) // 1000)
    totals, earlier = now["totals"], before["totals"] if before is not None else {}

    def per_second(*names: str) -> float | None:
        return rate(sum([totals[name] - earlier.get(name, 0) for name in names]), seconds)

    rates = [
        f"commands {count(per_second('commands'))}/s",
        f"errors {count(per_second('errors', 'node_errors'))}/s",
        f"received {size(per_second('bytes_received'))}/s",
        f"sent {size(per_second('bytes_sent'))}/s",
    ]
    return [
        f"kidoproxy {now['version']} ({now['build']}), {now['state']}, up {uptime}{workers}",
        *[f"  {reason}" for reason in now["reasons"]],
        f"clients {totals['clients']}   " + "   ".join(rates),
    ]


def node_lines(now: Document, before: Document | None, seconds: float) -> list[str]:
    """One line for each node, those in trouble first."""
    earlier = {(node["name"], node["address"]): node for node in (before["nodes"] if before is not None else [])}
    rows = [["node", "state", "replies/s", "waiting", "latency", "memory", "failures", "cause"]]
    for node in sorted(now["nodes"], key=lambda node: node["state"] in ("up", "in sync")):
        old = earlier.get((node["name"], node["address"]))
        replies = rate(node["replies"] - old["replies"], seconds) if old is not None else None
        latency = node["latency_ms"]
        rows.append(
            [
                node["name"],
                node["state"],
                count(replies),
                str(node["waiting"]),
                f"{latency:.1f} ms" if latency is not None else "-",
                size(node["info"].get("used_memory_bytes")),
                str(sum(node["failures"].values())),
                node["cause"],
            ]
        )
    return columns(rows)


def error_rows(now: Document) -> list[list[str]]:
    """The most frequent errors, and causes at nodes."""
    found = [
        (number, [code, pool["name"], by, str(number)])
        for pool in now["pools"]
        for by, field in (("proxy", "errors"), ("node", "node_errors"))
        for code, number in pool[field].items()
    ]
    found += [
        (number, [cause, node["name"], "cause", str(number)])
        for node in now["nodes"]
        for cause, number in node["failures"].items()
    ]
    return [row for _, row in sorted(found, key=lambda item: -item[0])[: 2 * SHOWN]]


def hot_rows(now: Document) -> list[list[str]]:
    return [[f"{100 * key['share']:.1f} %", key["node"], key["key"]] for key in now["hot_keys"][:SHOWN]]


def slow_rows(now: Document) -> list[list[str]]:
    return [
        [f"{slow['total_us'] / 1000:.0f} ms", f"node {slow['node_us'] / 1000:.0f} ms", slow["node"], slow["request"]]
        for slow in now["slow_log"][:SHOWN]
    ]


def columns(rows: list[list[str]]) -> list[str]:
    """Cells below each other, the last ones as long as they are."""
    cut = [[cell[:MAX_CELL] for cell in row[:-1]] + row[-1:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return ["  ".join([c.ljust(w) for c, w in zip(row, widths, strict=True)]).rstrip() for row in cut]


def rate(number: float, seconds: float) -> float | None:
    return max(number, 0) / seconds if seconds else None


def count(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def size(number: float | None) -> str:
    """Bytes, in the largest unit that fits."""
    if number is None:
        return "-"
    at = 0
    while number >= 1024 and at < len(UNITS) - 1:
        number /= 1024
        at += 1
    return f"{number:.0f} {UNITS[at]}" if not at or number >= 100 else f"{number:.1f} {UNITS[at]}"


def span(seconds: int) -> str:
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"
