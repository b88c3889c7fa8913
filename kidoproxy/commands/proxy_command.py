"""PROXY, the proxy's own command, which no server's table has: rows as the generated table would have them.

What shows the nodes is dangerous as INFO is; what may harm one of them is for an administrator.
"""

from typing import Final

from kidoproxy.commands.spec import Row

#: Subcommands. Name, arity, categories, summary.
_PROXY_SUBS: Final[tuple[tuple[str, int, str, str], ...]] = (
    ("bigkeys", -2, "admin dangerous slow", "Lists the keys with the largest requests and replies"),
    ("each", -3, "connection slow", "Asks every node and returns a list of their replies"),
    ("help", 2, "connection slow", "Returns helpful text about the different subcommands"),
    ("hotkeys", -2, "admin dangerous slow", "Lists the keys that are asked for most"),
    ("node", -4, "admin dangerous slow", "Asks one node, by its name"),
    ("nodes", 2, "dangerous slow", "Lists the nodes and how they are"),
    ("replies", 3, "connection slow", "Chooses between one merged reply and a list of each node's"),
    ("route", -3, "dangerous slow", "Says which nodes a command would be sent to, and why, without sending it"),
    ("scrub", -2, "admin dangerous slow", "Compares the copies of a pool, and repairs what differs"),
    ("slowlog", -2, "admin dangerous slow", "Lists the slow requests, and what of it was the node's"),
    ("stats", 2, "dangerous slow", "Returns what the proxy counts"),
    ("sync", -2, "admin dangerous slow", "Brings a copy that is behind up to date"),
)


def _proxy_row(name: str, arity: int, flags: str, categories: str, summary: str) -> Row:
    return (name, arity, flags, 0, 0, 0, categories, "", (), "connection", "0.1.0", summary)


#: The subcommands, as `kidoproxy.commands.overlay` names commands.
PROXY_NAMES: Final = " ".join([f"proxy|{sub[0]}" for sub in _PROXY_SUBS])
#: The container and its subcommands.
PROXY_ROWS: Final[tuple[Row, ...]] = (
    _proxy_row("proxy", -2, "", "slow", "Asks the proxy itself"),
    *[_proxy_row(f"proxy|{sub[0]}", sub[1], "loading noscript stale", sub[2], sub[3]) for sub in _PROXY_SUBS],
)
