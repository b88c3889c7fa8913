"""Orders to a proxy, and what is reported of a sync."""

from dataclasses import replace

import pytest
import redis

from kidoproxy.admin.control_client import (
    Report,
    listener_for,
    operator_user,
    sync,
)
from kidoproxy.config import (
    Address,
    Config,
    Pool,
    PoolRef,
    RingOptions,
    Secret,
    UserConfig,
)
from tests.admin.canned import LIMITS, bulk, canned, pool_of, row


def test_listeners() -> None:
    """A pool without a listener is reached through one above it."""
    low, high = Address("h", 1), Address("h", 2)
    above = Pool("above", "ring", (high,), (PoolRef("below", "below"),), LIMITS, ring=RingOptions())
    config = Config({"below": pool_of(name="below"), "above": above, "alone": pool_of(name="alone", listen=low)})

    assert listener_for(config, "below") is above
    assert listener_for(config, "alone") is config.pools["alone"]
    assert listener_for(config, "nobody") is None


def heard(said: list[str]) -> Report:
    """Lines, whether they are replaced or not."""
    return lambda line, passing: said.append(line)


class TestSync:
    """The conversation with a running proxy."""

    def test_until_it_is_in_sync(self) -> None:
        """The request is sent once; each change is reported; the end is the node in sync."""
        rows = [row("b", "behind"), row("b", "syncing", "1 of 2"), row("b", "syncing", "1 of 2"), row("b", "in sync")]
        said: list[str] = []
        with canned(b"+OK\r\n", *rows) as (address, requests):
            done = sync(Config({"p": pool_of(listen=address)}), "p", "b", heard(said), pause=0)

        assert done
        assert said == ["b: behind", "b: syncing (1 of 2)", "b: in sync"]
        assert [b"SYNC" in line for line in requests] == [True, False, False, False, False]

    def test_one_that_runs_already_is_followed(self) -> None:
        """With a bar, if the proxy says how far it is; but a request that is more than that is refused."""
        cells = [bulk(text) for text in ("name", "b", "state", "syncing", "sync", "copying")]
        counts = bulk("sync_keys") + b":12\r\n" + bulk("sync_keys_expected") + b":24\r\n"
        rows = b"*1\r\n*10\r\n" + b"".join(cells) + counts
        refusal = b"-ERR b is being synced already\r\n"
        said: list[tuple[str, bool]] = []
        with canned(refusal, rows, row("b", "in sync")) as (address, _):
            config = Config({"p": pool_of(listen=address)})
            assert sync(config, "p", "b", lambda line, passing: said.append((line, passing)), pause=0)
        half = "#" * 12 + "." * 12
        assert said == [(f"b: syncing [{half}] (copying)", True), ("b: in sync", False)]
        with canned(refusal) as (address, _), pytest.raises(redis.ResponseError, match="synced already"):
            sync(Config({"p": pool_of(listen=address)}), "p", "b", lambda line, passing: None, words=("REFILL",))

    @pytest.mark.parametrize(
        ("rows", "last"),
        [
            ([row("a", "in sync")], "b: the proxy does not know it"),
            ([row("b", "behind", "failed: no memory")], "b: behind (failed: no memory)"),
            ([row("b", "behind")] * 25, "b: behind"),
        ],
    )
    def test_until_it_is_given_up(self, rows: list[bytes], last: str) -> None:
        """A node that is unknown, failed, or that nobody works on is not waited for."""
        said: list[str] = []
        with canned(b"+OK\r\n", *rows) as (address, _):
            done = sync(Config({"p": pool_of(listen=address)}), "p", "b", heard(said), pause=0)

        assert (done, said) == (False, [last])

    def test_nodes_of_one_name(self) -> None:
        """Pools may have nodes of one name: the state that counts is that of the pool that was asked for."""
        cells = [bulk(text) for text in ("pool", "q", "name", "b", "state", "in sync", "sync", "")]
        other = b"*8\r\n" + b"".join(cells)
        rows = b"*2\r\n" + other + row("b", "syncing", "1 of 2").removeprefix(b"*1\r\n")
        said: list[str] = []
        with canned(b"+OK\r\n", rows, row("b", "in sync")) as (address, _):
            assert sync(Config({"p": pool_of(listen=address)}), "p", "b", heard(said), pause=0)

        assert said == ["b: syncing (1 of 2)", "b: in sync"]

    @pytest.mark.parametrize(
        ("users", "name"),
        [
            ([], ""),
            ([UserConfig("ops", password=Secret("x"))], ""),
            (
                [
                    UserConfig("default", enabled=False),
                    UserConfig("app", commands="+@read", nopass=True),
                    UserConfig("ops"),
                ],
                None,
            ),
            ([UserConfig("default", enabled=False), UserConfig("ops", nopass=True, commands="+proxy")], "ops"),
            ([UserConfig("default", commands="+@read", nopass=True), UserConfig("ops", password=Secret("x"))], "ops"),
            ([UserConfig("default", enabled=False), UserConfig("ops", digests=(Secret("0" * 64),))], None),
        ],
    )
    def test_who_orders_it(self, users: list[UserConfig], name: str | None) -> None:
        """The default user if it may, else one who may and whose password stands in the file, else nobody."""
        pool = replace(pool_of(), users=tuple(users))
        if name is None:
            with pytest.raises(LookupError, match='no user of pool "p" can request it'):
                operator_user(pool)
        else:
            assert operator_user(pool).name == name

    def test_no_listener(self) -> None:
        """Without a way in there is nothing to say."""
        with pytest.raises(LookupError):
            sync(Config({}), "p", "b", lambda line, passing: None)
