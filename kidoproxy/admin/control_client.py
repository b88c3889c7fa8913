"""Requests to the running proxy about a copy, through one of its own listeners: for ``kidoproxy sync``."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import redis

from kidoproxy.admin.progress import bar
from kidoproxy.admin.redis_client import connect
from kidoproxy.commands.acl import Acl
from kidoproxy.commands.find import find_by_name
from kidoproxy.config import Config, Pool, Tls, UserConfig
from kidoproxy.config.wording import did_you_mean

#: The proxy itself answers at once; a busy one may take a moment.
PROXY_TIMEOUT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.2
#: After so many polls in which a node was behind and no sync ran, the proxy has given up.
MAX_IDLE_POLLS: Final = 25
#: States of a copy, as ``PROXY NODES`` writes them: it may be read; it is being brought up to date.
IN_SYNC: Final = "in sync"
SYNCING: Final = "syncing"

#: Called with a line, and whether the next one is to replace it.
Report = Callable[[str, bool], object]


def listener_for(config: Config, pool: str) -> Pool | None:
    """A listening pool through which ``pool`` can be reached: itself, or one above it."""
    for candidate in config.listening_pools():
        if any(below.name == pool for below in config.pools_below(candidate.name)):
            return candidate
    return None


def operator_user(pool: Pool) -> UserConfig:
    """A user of the file who may request a sync, and whose password stands there. LookupError when there is none."""
    needed = [spec for spec in (find_by_name(b"proxy|sync"), find_by_name(b"proxy|nodes")) if spec is not None]
    for user in pool.all_users():
        acl = Acl(user.commands)
        if user.enabled and (user.nopass or user.password) and all(acl.allows_command(spec) for spec in needed):
            # Without a name redis-py sends AUTH only if there is a password.
            return replace(user, name="") if user.name == "default" else user
    raise LookupError(
        f'no user of pool "{pool.name}" can request it: one must be allowed +proxy, and have a password in the file'
    )


def connect_to_proxy(config: Config, pool: str) -> redis.Redis:
    """A client of the running proxy, through a listener from which ``pool`` can be reached."""
    listener = listener_for(config, pool)
    if listener is None:
        raise LookupError(f'there is no pool "{pool}"' + did_you_mean(pool, config.pools))
    user = operator_user(listener)
    return connect(
        listener.listen[0], user.name, user.password, listener_tls_for_client(listener), PROXY_TIMEOUT_SECONDS
    )


def listener_tls_for_client(listener: Pool) -> Tls | None:
    """How to speak to our own listener: its file names its certificate, which need not be made for the address."""
    tls = listener.listener_tls
    return None if tls is None or listener.listen[0].plain else Tls(verify=False, certificate=tls.certificates[0])


def send_sync_command(config: Config, pool: str, node: str, *words: str) -> list[str]:
    """Send PROXY SYNC NODE WORDS to the running proxy; the lines of its reply."""
    with connect_to_proxy(config, pool) as client:
        reply = client.execute_command("PROXY", "SYNC", node, *words)
    return [line.decode("utf-8", "replace") for line in reply] if isinstance(reply, list) else []


def sync(
    config: Config,
    pool: str,
    node: str,
    report: Report,
    pause: float = POLL_SECONDS,
    words: tuple[str, ...] = (),
) -> bool:
    """Request a sync of ``node`` from the running proxy, and report until it is over; False when it gave up.

    One that has begun by itself is followed. ``report`` gets a line, and whether the next one is to replace it.
    """
    with connect_to_proxy(config, pool) as client:
        request_or_follow(client, node, words)
        reported, idle_polls = "", 0
        while idle_polls < MAX_IDLE_POLLS:
            fields = parse_node_fields(client.execute_command("PROXY", "NODES"), pool, node)
            state, activity = fields.get("state", ""), fields.get("sync", "")
            drawn = bar(int(fields.get("sync_keys", 0)), int(fields.get("sync_keys_expected", 0)))
            shown = " ".join(part for part in (state, drawn, f"({activity})" if activity else "") if part)
            line = f"{node}: {shown or 'the proxy does not know it'}"
            if line != reported:
                report(line, state == SYNCING)
                reported = line
            if state in (IN_SYNC, "") or activity.startswith("failed"):
                return state == IN_SYNC
            idle_polls = 0 if activity else idle_polls + 1
            time.sleep(pause)
    return False


def request_or_follow(client: Any, node: str, words: tuple[str, ...]) -> None:
    """Request it; a plain sync that runs already is as good."""
    try:
        client.execute_command("PROXY", "SYNC", node, *words)
    except redis.ResponseError as error:
        if words or "is being synced already" not in str(error):
            raise


def refill(config: Config, pool: str, node: str, report: Report) -> bool:
    """As `sync`, but the node is emptied first."""
    return sync(config, pool, node, report, words=("REFILL",))


def parse_node_fields(rows: list[list[bytes | int]], pool: str, node: str) -> dict[str, str]:
    """What ``PROXY NODES`` says of a node, as RESP2 shows it; empty if it is unknown."""
    for row in rows:
        texts = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in row]
        fields = dict(zip(texts[::2], texts[1::2], strict=True))
        if fields.get("name") == node and fields.get("pool", pool) == pool:
            return fields
    return {}
