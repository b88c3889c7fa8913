# mypy: disable-error-code="import-untyped"
"""huey."""

from typing import Any

from huey import RedisHuey

from tests.outage.notes import URL, produce, ran

huey: Any = RedisHuey("outage", url=URL)


def run(number: int) -> int:
    ran(number)
    return number


task: Any = huey.task()(run)


def main() -> None:
    """The producer."""
    produce(task)
