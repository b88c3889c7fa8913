"""The build that is tested is the one that was asked for.

``KIDOPROXY_BUILD`` says which: ``interpreted`` or ``compiled``. Without it both are fine.
"""

import importlib
import os
from pathlib import Path

import pytest

import kidoproxy
from deploy.compile_packages import compiled_files, module_name

MODULES = [module_name(path) for path in compiled_files()]


@pytest.mark.parametrize("name", MODULES)
def test_every_compiled_room_comes_from_the_build_under_test(name: str) -> None:
    """No package of the source tree shadows the wheel, and none was left out of the compilation."""
    suffix = Path(str(importlib.import_module(name).__file__)).suffix
    wanted = {"interpreted": [".py"], "compiled": [".so"]}
    assert suffix in wanted.get(os.environ.get("KIDOPROXY_BUILD", ""), [".py", ".so"])


def test_the_package_is_installed_beside_the_rooms() -> None:
    """The package and its modules come from one place: two builds are never mixed."""
    module = importlib.import_module("kidoproxy.resp.errors")
    assert Path(str(kidoproxy.__file__)).parent == Path(str(module.__file__)).parent.parent
