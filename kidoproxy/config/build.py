"""From tables that have the right shape to a `Config` that makes sense, noting everything that does not."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kidoproxy.config.address import Address, parse_listen
from kidoproxy.config.graph import check_graph, rings_over_copies
from kidoproxy.config.members import MemberBuilder
from kidoproxy.config.model import (
    ClientLimits,
    Config,
    CopyOptions,
    Member,
    Pool,
    RingOptions,
)
from kidoproxy.config.problems import Location, Problems, format_location
from kidoproxy.config.schema import (
    MIB,
    QUEUE_SETS,
    TOGETHER_SETS,
    FileTable,
    PoolTable,
    ProxyTable,
    UserTable,
)
from kidoproxy.config.secret import Secret
from kidoproxy.config.secret_files import SecretFiles
from kidoproxy.config.sockets import SocketBuilder
from kidoproxy.config.tls_build import TlsBuilder
from kidoproxy.config.users import UserBuilder
from kidoproxy.config.wording import did_you_mean, quote_words

#: A read that may wait longer than that need not be hedged.
MOST_HEDGE_MS: Final = 10_000
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class ConfigBuilder:
    """Builds one `Config`; ``folder`` is where relative file names start."""

    def __init__(self, environ: Mapping[str, str], folder: Path, problems: Problems) -> None:
        self.environ = environ
        self.folder = folder
        self.problems = problems
        self.warnings: list[str] = []
        self.files = SecretFiles(folder, problems, self.warn)
        self.tls = TlsBuilder(folder, problems, self.warn)

    def build(self, file: FileTable) -> Config:
        """The whole; to be used only when no problem was noted."""
        if not file.pool:
            self.problems.add(("pool",), "there is no pool; the file needs at least one [pool.NAME] table")
        pools = {name: self._pool(name, table, file.proxy) for name, table in file.pool.items()}
        admin = self._admin(file.proxy)
        check_graph(pools, admin, self.problems)
        for location, message in rings_over_copies(pools):
            self.warn(location, message)
        return Config(
            pools=pools,
            source=self.problems.file,
            workers=file.proxy.workers,
            state_dir=state_dir(file.proxy.state_dir, self.environ),
            admin=admin,
            admin_token=self.files.token(file.proxy.admin_token_file, ("proxy", "admin_token_file")),
            log=file.proxy.log,
            log_level=file.proxy.log_level,
            slow_seconds=file.proxy.slow_ms / 1000,
            drain_seconds=float(file.proxy.drain_seconds),
            max_clients=file.proxy.max_clients,
            max_lanes=file.proxy.max_lanes,
            warnings=tuple(dict.fromkeys(self.warnings)),
        )

    def warn(self, location: Location, message: str) -> None:
        """Note something that is valid, and that somebody may regret."""
        self.warnings.append(f"{self.problems.file}: {format_location(location)}: {message}")

    def _admin(self, table: ProxyTable) -> Address | None:
        return None if table.admin is None else self._listen(table.admin, ("proxy", "admin"))

    def _listen(self, text: str, location: Location) -> Address | None:
        try:
            return parse_listen(text)
        except ValueError as error:
            self.problems.add(location, str(error))
            return None

    def _pool(self, name: str, table: PoolTable, proxy: ProxyTable) -> Pool:
        location = ("pool", name)
        if not name or not set(name) <= _NAME_CHARACTERS:
            self.problems.add(location, "a pool's name has only letters, digits, - and _")
        self._check_ignored_settings(table, location)
        listen = [self._listen(text, (*location, "listen")) for text in table.listen]
        password = self.files.secret(table.password, table.password_file, location)
        pool = Pool(
            name=name,
            mode=table.mode,
            # One that is wrong keeps its place: the pool does listen, and this configuration is never used.
            listen=tuple(address or Address(path=f"pool.{name}.listen[{i}]") for i, address in enumerate(listen)),
            members=self._members(table, location),
            limits=_limits(table, proxy),
            password=password,
            timeout=table.timeout_ms / 1000,
            connect_timeout=table.connect_timeout_ms / 1000,
            node_queue_bytes=table.node_queue_mb * MIB,
            databases=table.databases,
            node_errors=table.node_errors or _default_node_errors(table),
            ring=self._ring(table, location) if table.mode == "ring" else None,
            copy=self._copy(table, location) if table.mode == "copy" else None,
            deny=frozenset(_command_name(word) for word in table.deny),
            allow=frozenset(_command_name(word) for word in table.allow),
            rename=self._rename(table, (*location, "rename")),
            users=UserBuilder(password, self._user_secret, self.problems, table.tls.auth_clients_user != "off").users(
                table.users, (*location, "users")
            ),
            socket_access=SocketBuilder(self.problems, self.warn).access(table, location),
            listener_tls=self.tls.listener_tls(table, (*location, "tls")),
        )
        self.tls.check_users(pool, (*location, "tls"))
        if table.protected:
            self._check_protected(pool, (*location, "listen"))
        return pool

    def _check_protected(self, pool: Pool, location: Location) -> None:
        """Redis's protected mode."""
        exposed = [address for address in pool.listen if not address.is_loopback and pool.is_open(address)]
        if exposed:
            self.problems.add(
                location,
                f"{exposed[0]} is reached by other machines, and clients need no password; set 'password', listen on "
                "127.0.0.1, or say 'protected = false'",
            )

    def _check_ignored_settings(self, table: PoolTable, location: Location) -> None:
        """A setting that would do nothing is a mistake somebody wants to know."""
        for key, field in PoolTable.model_fields.items():
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            if key not in table.model_fields_set:
                continue
            if extra.get("only", table.mode) != table.mode:
                self.problems.add(location, f"'{key}' has no meaning in a {table.mode} pool")
            if extra.get("listens") and not table.listen:
                self.problems.add(location, f"'{key}' has no meaning in a pool without 'listen'")
        for word in sorted(
            {_command_name(word) for word in table.deny} & {_command_name(word) for word in table.allow}
        ):
            self.problems.add(location, f"'{word.decode()}' is both denied and allowed")

    def _ring(self, table: PoolTable, location: Location) -> RingOptions:
        if table.tags and (len(table.tags.encode()) != 2 or not table.tags.isascii()):
            self.problems.add((*location, "tags"), 'must be two characters, such as "{}", or "" to turn tags off')
        return RingOptions(
            hash=table.hash,
            tags=table.tags.encode(),
            together=self._together(table.together, (*location, "together")),
            on_down=table.on_down,
            transactions=table.transactions,
            same_server=table.same_server,
        )

    def _together(self, groups: list[list[str]], location: Location) -> tuple[bytes | tuple[bytes, ...], ...]:
        """A group of one is the word alone."""
        found: list[bytes | tuple[bytes, ...]] = []
        for i, group in enumerate(groups):
            if not group:
                self.problems.add((*location, i), "is an empty group")
            words = tuple([self._together_prefix(word, (*location, i)) for word in group])
            found.append(words[0] if len(words) == 1 else words)
        return tuple(dict.fromkeys(found))

    def _together_prefix(self, word: str, location: Location) -> bytes:
        if not word:
            self.problems.add(location, "is empty: every key begins with it")
        elif word.startswith("@") and word not in TOGETHER_SETS:
            known = f"known are {quote_words(TOGETHER_SETS)}"
            self.problems.add(location, f'there is no set "{word}"; {known}' + did_you_mean(word, TOGETHER_SETS))
        return word.encode()

    def _copy(self, table: PoolTable, location: Location) -> CopyOptions:
        if table.nodes and table.min_in_sync > len(table.nodes):
            self.problems.add((*location, "min_in_sync"), f"must be at most {len(table.nodes)}, the number of nodes")
        return CopyOptions(
            ack=table.ack,
            min_in_sync=table.min_in_sync,
            read=table.read,
            hedge=self._hedge(table.hedge_ms, (*location, "hedge_ms")),
            heal=table.heal,
            sync_keys_per_s=table.sync_keys_per_s,
            scrub_s=self._seconds(table.scrub, (*location, "scrub")),
            effect_max_mb=table.effect_max_mb,
        )

    def _hedge(self, text: str, location: Location) -> float | None:
        if text in ("off", "p95"):
            return None if text == "off" else 0.0
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MOST_HEDGE_MS):
            self.problems.add(location, f'must be "off", "p95" or a number from 1 to {MOST_HEDGE_MS}')
            return None
        return int(text) / 1000

    def _seconds(self, text: str, location: Location) -> float:
        """A duration in seconds; 0 for "off", and for what is none, which is a problem."""
        found = _DURATION.fullmatch(text)
        if found is None:
            if text != "off":
                self.problems.add(location, 'must be "off", or a number and s, m, h or d, such as "24h"')
            return 0.0
        return float(found[1]) * _UNIT_SECONDS[found[2]]

    def _rename(self, table: PoolTable, location: Location) -> dict[bytes, bytes]:
        renamed = {_command_name(old): _command_name(new) for old, new in table.rename.items()}
        given = [new for new in renamed.values() if new]
        for new in sorted(set(given)):
            if given.count(new) > 1:
                self.problems.add(location, f'two commands have the new name "{new.decode()}"')
        return renamed

    def _members(self, table: PoolTable, location: Location) -> tuple[Member, ...]:
        if not table.nodes:
            self.problems.add((*location, "nodes"), "is empty: a pool needs at least one node")
        node_tls = self.tls.node_tls(table, (*location, "tls"))
        return MemberBuilder(table, node_tls, self.files, self.problems).members((*location, "nodes"))

    def _user_secret(self, table: UserTable, location: Location) -> Secret:
        return self.files.secret(table.password, table.password_file, location)


def state_dir(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """Where the state is kept: as given ("" for nowhere), systemd's, else the user's."""
    if given is not None:
        return Path(given).expanduser() if given else None
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local" / "state")
    return Path(home) / "kidoproxy"


def _default_node_errors(table: PoolTable) -> str:
    """Workers of a queue must live on while a node is gone; a page had better fail at once."""
    return "retry" if any(word in QUEUE_SETS for group in table.together for word in group) else "fast"


def _limits(table: PoolTable, proxy: ProxyTable) -> ClientLimits:
    limits = table.limits
    return ClientLimits(
        max_clients=proxy.max_clients if limits.max_clients is None else limits.max_clients,
        client_output_bytes=limits.client_output_mb * MIB,
        pubsub_output_bytes=limits.pubsub_output_mb * MIB,
        bulk_bytes=limits.bulk_mb * MIB,
        query_buffer_bytes=limits.query_buffer_mb * MIB,
        idle_seconds=limits.idle_timeout_s,
    )


def _command_name(word: str) -> bytes:
    """``CONFIG SET`` and ``config|set`` are the same command."""
    return "|".join(word.lower().replace("|", " ").split()).encode()
