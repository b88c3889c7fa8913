"""What somebody has to do who has nodes and no proxy yet: the file, and the command that starts it."""

from collections.abc import Sequence
from typing import Final

from kidoproxy.django.addresses import NodeAddress

_FIRST_PORT: Final = 6380

HOW_TO_NAME: Final = (
    "\nThen tell Django where the file is (KIDOPROXY_CONFIG in the settings or the environment), or where the proxy "
    'is: KIDOPROXY = "redis://host:port" in the settings, or a map of pools to such URLs.'
)


def start_hint(mode: str, nodes: Sequence[NodeAddress], path: str, taken: Sequence[str]) -> str:
    """The table for the file, with the ring of old, and how the proxy is started with it."""
    return (
        f"Write into {path}:\n\n{pool_table(mode, nodes, taken)}\nand start it:\n\n"
        f"    kidoproxy serve --config {path}\n"
    )


def pool_table(mode: str, nodes: Sequence[NodeAddress], taken: Sequence[str] = ()) -> str:
    """The pool of these nodes in TOML; ``taken`` are addresses that others listen on."""
    lines = [f"[pool.{mode}]", f'listen = "127.0.0.1:{_free_port(nodes, taken)}"', f'mode = "{mode}"']
    if mode == "ring":
        lines.append('hash = "hash_ring" # keys stay where RedisRing put them')
        lines.append('tags = "" # which knew no {tags}; without this line new keys can have them')
    lines += ["nodes = [", *(f"  {_node(node)}," for node in nodes), "]"]
    return "\n".join(lines) + "\n"


def _node(node: NodeAddress) -> str:
    if not node.has_password:
        return _quoted(node.url)
    user = f"username = {_quoted(node.username)}, " if node.username else ""
    return f'{{ url = {_quoted(node.url)}, {user}password = "${{NODE_PASSWORD}}" }}'


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port(nodes: Sequence[NodeAddress], taken: Sequence[str]) -> int:
    """A port that none of them has, whatever its host."""
    ports = {address.rpartition(":")[2] for address in [*taken, *(node.address for node in nodes)]}
    return next(port for port in range(_FIRST_PORT, 65536) if str(port) not in ports)
