"""The configuration: a strict TOML file in, one frozen, checked `Config` out, or a line for every mistake.

Three steps, each collecting all its mistakes: the text is TOML and its ``${VARIABLES}`` exist (`read`,
`interpolate`); every table has the right shape (`schema`, which also holds every default and its
sentence); and the whole makes sense (`build`, `graph`). Nothing starts with half a configuration.

What is imported here is light. `kidoproxy.config.read`, which reads the file, loads the library that checks it.
"""

from kidoproxy.config.address import Address
from kidoproxy.config.model import (
    ClientLimits,
    Config,
    CopyOptions,
    ListenerTls,
    Member,
    NodeConfig,
    Pool,
    PoolRef,
    RingOptions,
    SentinelGroup,
    SocketAccess,
    Tls,
    UserConfig,
)
from kidoproxy.config.secret import Secret
from kidoproxy.resp.errors import ConfigError

__all__ = [
    "Address",
    "ClientLimits",
    "Config",
    "ConfigError",
    "CopyOptions",
    "ListenerTls",
    "Member",
    "NodeConfig",
    "Pool",
    "PoolRef",
    "RingOptions",
    "Secret",
    "SentinelGroup",
    "SocketAccess",
    "Tls",
    "UserConfig",
]
