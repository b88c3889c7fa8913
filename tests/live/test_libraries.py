"""Libraries whose scripts need several keys: small ones, each with its set. ``python -m tests.libraries`` runs all."""

from pathlib import Path
from typing import Final

import pytest

from tests.libraries.run import run
from tests.libraries.table import LIBRARIES
from tests.needs import needs_packages

pytestmark = pytest.mark.live

SMALL: Final = {
    one.script: one for one in LIBRARIES if one.script in ("limits_.py", "python_redis_lock_.py", "throttled_.py")
}
TOGETHER: Final = [name for one in SMALL.values() for name in one.together]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where all of them are installed."""
    wanted = [name for one in SMALL.values() for name in one.pip]
    return {"PYTHONPATH": str(needs_packages(tmp_path_factory.mktemp("libraries"), *wanted))}


@pytest.mark.parametrize("script", list(SMALL))
def test_a_set_is_enough(server: str, path: dict[str, str], script: str) -> None:
    """With its set a library does over a ring of three, and over copies without one, what it does on one server."""
    assert run(SMALL[script], server, path) == ""


def test_every_script_is_run() -> None:
    """No script lies beside the table."""
    folder = Path(__file__).parent.parent / "libraries" / "scripts"
    assert {file.name for file in folder.iterdir() if file.is_file()} == {one.script for one in LIBRARIES}
