"""A proxy that has worked for two minutes holds what it held at the first, and a leak would be seen."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import pytest

from tests.live.proxies import Starter
from tests.soak.soak import MIB, OPTIONS, POOLS, SAMPLES, Holdings, Soak, play

REST: Final = Holdings(30 * MIB, 20, 3)
FLAT: Final = Soak(100, [], REST, [replace(REST, memory=REST.memory + at % 3 * MIB) for at in range(SAMPLES)], REST)


@pytest.mark.live
@pytest.mark.timeout(300)
def test_two_minutes(own_proxy: Starter) -> None:
    """Each kind of pool at the same time; the load is small, so that other tests run beside it."""
    proxies = [own_proxy(kind.mode, kind.nodes, proxy={"workers": kind.workers}, **OPTIONS) for kind in POOLS]
    with ThreadPoolExecutor() as threads:
        soaks = list(threads.map(lambda proxy: play(proxy, 90, 3, 1), proxies))
    assert [(soak.leaks(), soak.problems) for soak in soaks] == [([], [])] * len(POOLS)


def test_what_is_flat_is_no_leak() -> None:
    """Memory sways a little."""
    assert FLAT.leaks() == []


@pytest.mark.parametrize(
    ("soak", "leak"),
    [
        (
            replace(FLAT, at_work=[replace(REST, memory=REST.memory + at * MIB) for at in range(SAMPLES)]),
            "memory grew by 20.0 MiB while it worked",
        ),
        (replace(FLAT, at_end=replace(REST, files=21)), "21 open files without clients, 20 at the beginning"),
        (replace(FLAT, at_end=replace(REST, threads=4)), "4 threads, 3 at the beginning"),
    ],
)
def test_a_leak_is_seen(soak: Soak, leak: str) -> None:
    """Of memory, of files, of threads."""
    assert soak.leaks() == [leak]
