"""Secrets stay secret."""

from pathlib import Path

import pytest

from kidoproxy.config import Secret
from tests.config.files import pool, read


def test_secret() -> None:
    """A secret is true when there is one, equal by value, and silent."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert bool(Secret("a"))
    assert not Secret()
    assert (repr(Secret("a")), repr(Secret())) == ("Secret(***)", "Secret()")


@pytest.mark.parametrize("hash_name", ["ketama", "django_redis_shard"])
def test_never_shown(tmp_path: Path, hash_name: str) -> None:
    """The repr of a configuration holds no secret, wherever it was written."""
    config = read(
        tmp_path,
        pool(
            f'password = "s3cret"\nhash = "{hash_name}"',
            nodes='["redis://:s3cret@h", { url = "redis://i", password = "s3cret" }]',
        ),
    )

    assert "s3cret" not in repr(config)
    assert "s3cret" not in str(config)
