"""What to try first with `kidoproxy serve` and no file: lines that run on this machine as they are printed."""

import shlex
import shutil
import sys
from collections.abc import Callable
from typing import Final

from kidoproxy.config import Address, Config

#: Clients for a shell; any of them will do.
SHELL_CLIENTS: Final = ("redis-cli", "valkey-cli")


def first_steps(config: Config, node_count: int, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The lines for a run that has nodes of its own; ``which`` finds programs."""
    pool = config.pools["local"]
    kind = "a ring" if pool.mode == "ring" else "copies"
    lines = [
        "",
        f"One Redis for your clients; behind it, {kind} of {node_count} embedded "
        f"node{'s' if node_count > 1 else ''}. Try:",
    ]
    shell_client = next((name for name in SHELL_CLIENTS if which(name)), None)
    if shell_client:
        command = f"{shell_client} {_options(pool.listen[0])}"
        lines += [f"  {command} set hello world", f"  {command} proxy route get hello"]
        lines.append(_in_python(pool.listen[0], "get('hello')"))
    else:
        lines.append(_in_python(pool.listen[0], "set('hello', 'world')"))
        lines.append(_in_python(pool.listen[0], "get('hello')"))
        lines.append(_in_python(pool.listen[0], "execute_command('PROXY ROUTE GET hello')"))
    if config.admin is not None:
        lines.append(f"  http://{config.admin}/")
    return [*lines, "Nothing is kept: Ctrl-C ends the proxy, the nodes and their data.", ""]


def _options(address: Address) -> str:
    return f"-s {shlex.quote(address.path)}" if address.is_unix else f"-h {address.host} -p {address.port}"


def _in_python(address: Address, call: str) -> str:
    """By the interpreter that runs this, which has redis-py; ``python`` may be another one, or none."""
    url = str(address) if address.is_unix else f"redis://{_reachable(address)}"
    code = f"import redis; print(redis.Redis.from_url('{url}').{call})"
    return f'  {shlex.quote(sys.executable)} -c "{code}"'


def _reachable(address: Address) -> str:
    """Where a client on this machine connects."""
    every = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    return f"{every[address.host]}:{address.port}" if address.host in every else str(address)
