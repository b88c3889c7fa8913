"""Configuration files for the tests, and what reading them gives."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from kidoproxy.config import Config, ConfigError
from kidoproxy.config.read import load

RING = """
[pool.cache]
listen = "127.0.0.1:6380"
mode = "ring"
nodes = ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]
"""

COPY = """
[pool.cache]
listen = "127.0.0.1:6380"
mode = "copy"
nodes = ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]
"""


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    file = tmp_path / "ring.toml"
    file.write_text(dedent(text), "utf-8")
    return load(file, environ if environ is not None else {"HOME": "/home/kido"})


def problems(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, environ)
    return caught.value.problems


def pool(lines: str, mode: str = "ring", nodes: str = '["redis://10.0.0.1", "redis://10.0.0.2"]') -> str:
    return f'[pool.cache]\nlisten = "127.0.0.1:6380"\nmode = "{mode}"\nnodes = {nodes}\n{dedent(lines)}\n'


def nodes(*items: str, mode: str = "ring") -> str:
    return pool("", mode, f"[{', '.join(items)}]")
