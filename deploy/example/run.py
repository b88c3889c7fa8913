"""The example on embedded nodes: ``python deploy/example/run.py``. It starts all of it, and keeps nothing."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from kidoproxy.admin.embedded import EmbeddedNodes

HERE: Final = Path(__file__).resolve().parent
#: Pool -> how many nodes are started for it.
NODES: Final = {"pages": 3, "sessions": 2, "queues": 1}


def main() -> None:
    """Nodes, the proxy, a worker, the site; until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="Where the site is.  [8000]")
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kidoproxy-example-")))
        servers = stack.enter_context(EmbeddedNodes())
        urls = iter(servers.start(sum(NODES.values()), tcp=True))
        listen = {pool: f"127.0.0.1:{free_port()}" for pool in NODES}
        config = folder / "kidoproxy.toml"
        config.write_text(configuration(listen, {pool: [next(urls) for _ in range(NODES[pool])] for pool in NODES}))
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))}
        env |= {f"{pool.upper()}_URL": f"redis://{address}" for pool, address in listen.items()}
        env["XDG_STATE_HOME"] = str(folder)
        proxy = start(stack, env, "-m", "kidoproxy", "serve", "--config", str(config), stdout=subprocess.PIPE)
        assert proxy.stdout is not None
        if not any("is ready" in line for line in proxy.stdout):
            sys.exit("the proxy did not start")
        start(stack, env, "-m", "celery", "-A", "shop.tasks", "worker", "--pool", "solo", "--loglevel", "ERROR")
        site = start(stack, env, str(HERE / "manage.py"), "runserver", "--noreload", f"127.0.0.1:{port}")
        print(f"http://127.0.0.1:{port}/", flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            site.wait()


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def configuration(listen: dict[str, str], urls: dict[str, list[str]]) -> str:
    """The proxy's file: the one beside this, with addresses of this run."""
    text = (HERE / "kidoproxy.toml").read_text(encoding="utf-8")
    for pool, first in (("pages", 0), ("sessions", 1), ("queues", 2)):
        text = text.replace(f"0.0.0.0:639{first}", listen[pool])
        for number, url in enumerate(urls[pool], 1):
            text = text.replace(f"redis://{pool}-{number}:6379", url)
    return text


def start(
    stack: contextlib.ExitStack, env: dict[str, str], *args: str, stdout: int | None = None
) -> subprocess.Popen[str]:
    """A process that ends with this one."""
    process = subprocess.Popen([sys.executable, *args], env=env, cwd=HERE, stdout=stdout, text=True)

    def end() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)
    return process


if __name__ == "__main__":
    main()
