"""Names, counts and points are those of the implementations that are followed."""

from hashlib import sha256

import pytest

from kidoproxy.routes.placement.points import django_points, nutcracker_name, nutcracker_points, nutcracker_rounds


@pytest.mark.parametrize(
    ("name", "host", "port", "path", "expected"),
    [
        ("cache-a", "10.0.0.1", 6379, "", "cache-a"),
        ("cache-a", "", 0, "/run/r.sock", "cache-a"),
        ("", "10.0.0.1", 6379, "", "10.0.0.1:6379"),
        ("", "10.0.0.1", 11211, "", "10.0.0.1"),
        ("", "", 0, "/run/r.sock", "/run/r.sock:"),
    ],
)
def test_nutcracker_name(name: str, host: str, port: int, path: str, expected: str) -> None:
    """The given name, else the address as nutcracker spells it."""
    assert nutcracker_name(name, host, port, path) == expected


@pytest.mark.parametrize(
    ("weights", "counts"),
    [
        ([1], [40]),
        ([1, 1, 1], [40, 40, 40]),
        ([1, 2, 5], [15, 30, 75]),
        ([0, 3], [0, 80]),
        ([4, 8, 5, 1, 7], [31, 63, 40, 7, 56]),
        ([1] * 25, [39] * 25),
        ([1] * 26, [40] * 26),
    ],
)
def test_nutcracker_counts(weights: list[int], counts: list[int]) -> None:
    """In 32-bit floats, so some counts are one short of the exact ones."""
    assert nutcracker_rounds(weights) == counts


def test_two_servers_with_one_point() -> None:
    """The first server has it, as in nutcracker: its sort is stable and its search finds the first."""
    for names in (["n81", "n975"], ["n975", "n81"]):
        points, owners = nutcracker_points(names, [1, 1])
        assert points == sorted(points)
        assert owners[points.index(607858066)] == 0


def test_django_arcs() -> None:
    """An arc begins at its owner's point: the key of exactly that hash belongs to it."""
    urls = ["redis://a", "redis://b"]
    points, owners = django_points(urls)
    theirs = sorted((int(sha256(f"{url}:{i}".encode()).hexdigest(), 16), url) for url in urls for i in range(128))

    assert points == [point - 1 for point, _ in theirs]
    assert [urls[owner] for owner in owners] == [theirs[-1][1]] + [url for _, url in theirs[:-1]]
