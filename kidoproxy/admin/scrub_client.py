"""A scrub of a copy pool, requested from the running proxy: for ``kidoproxy scrub``."""

import time
from typing import Any, Final

from kidoproxy.admin.control_client import POLL_SECONDS, Report, connect_to_proxy
from kidoproxy.admin.progress import bar
from kidoproxy.config import Config

#: States of a scrub in which there is more to come, as ``PROXY SCRUB STATUS`` writes them; and the good end.
OPEN: Final = ("waiting", "running")
DONE: Final = "done"


def scrub(config: Config, pool: str, dry_run: bool, report: Report, pause: float = POLL_SECONDS) -> int:
    """Request it and report until it is over; how many keys differed. LookupError when it could not be done."""
    with connect_to_proxy(config, pool) as client:
        client.execute_command("PROXY", "SCRUB", "DRYRUN" if dry_run else "RUN", pool)
        reported, number = "", None
        while True:
            fields = parse_status(client.execute_command("PROXY", "SCRUB", "STATUS", pool))
            if number not in (None, fields.get("number")):
                raise LookupError(f"{pool}: another scrub has begun, or the proxy was restarted: no result")
            number = fields.get("number")
            if fields.get("state") not in OPEN:
                break
            line = progress_line(pool, fields)
            if line != reported:
                report(line, True)
                reported = line
            time.sleep(pause)
    if fields.get("state") != DONE:
        raise LookupError(f"{pool} was not scrubbed: {fields.get('problem', 'the proxy does not know it')}")
    for line in result_lines(pool, fields):
        report(line, False)
    return int(fields["differences"])


def parse_status(rows: list[list[Any]]) -> dict[str, Any]:
    """The row of one pool, as RESP2 shows it; empty if there is none."""
    cells = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for row in rows[:1] for cell in row]
    return dict(zip(cells[::2], cells[1::2], strict=True))


def progress_line(pool: str, fields: dict[str, Any]) -> str:
    """How far it is."""
    drawn = bar(fields["scanned"], fields["expected"])
    counts = f"({fields['keys']} keys compared, {fields['differences']} differ)" if drawn else ""
    return " ".join(part for part in (f"{pool}: {fields['state']}", drawn, counts) if part)


def result_lines(pool: str, fields: dict[str, Any]) -> list[str]:
    """What came of it: each key that differs, as far as the proxy remembers them, and the numbers."""
    lines = [f"db {db}: {key.decode('utf-8', 'backslashreplace')!r} differs" for db, key in fields["differing"]]
    unnamed = fields["differences"] - len(lines)
    if unnamed:
        lines.append(f"and {unnamed} more")
    outcome = "nothing was repaired (dry run)" if fields["dry_run"] else f"{fields['repaired']} repaired"
    summary = f"{pool}: {fields['keys']} keys compared on {fields['copies']}: "
    lines.append(summary + (f"{fields['differences']} differ, {outcome}" if fields["differences"] else "all are equal"))
    if fields["large"]:
        lines.append(f"{fields['large']} of them are large: type, length and expiry were compared, not the contents")
    if fields["skipped"]:
        lines.append(f"{fields['skipped']} keys were not compared: they were being written to all the time")
    return lines
