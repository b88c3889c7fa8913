"""Variables in strings."""

from pathlib import Path

import pytest

from tests.config.files import pool, problems, read

MISTAKES = [
    (pool('password = "${NOPE}"'), 'pool.cache.password: the environment has no "NOPE"'),
    (pool('password = "${HOMER}"'), 'the environment has no "HOMER"; did you mean "HOME"?'),
    (pool('password = "${a b}"'), '"${a b}" does not name an environment variable'),
]


def test_from_the_environment(tmp_path: Path) -> None:
    """${NAME} stands in any string; in front of a URL's @ the value may hold any character."""
    environ = {"PW": "a/b@c#%", "HOST": "10.9.9.9", "FULL": "redis://:x@h"}
    cache = read(
        tmp_path,
        pool(
            'password = "${PW}"\ntogether = ["$${PW}$"]',
            nodes='["redis://u:${PW}@${HOST}", { url = "redis://i", password = "${PW}" }, "${FULL}"]',
        ),
        environ,
    ).pools["cache"]

    assert cache.password.reveal() == "a/b@c#%"
    assert [node.password.reveal() for node in cache.nodes] == ["a/b@c#%", "a/b@c#%", "x"]
    assert cache.nodes[0].name == "10.9.9.9:6379"
    assert cache.ring is not None
    assert cache.ring.together == (b"${PW}$",)


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    """A variable that is missing or cannot be one gets its line."""
    found = problems(tmp_path, text)

    assert [line for line in found if expected in line], found
    assert all(line.startswith("ring.toml: ") and "\n" not in line for line in found)
