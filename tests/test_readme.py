"""The worked example of the tour through the tests."""

import re
from pathlib import Path

TOUR = Path(__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_example_of_a_story_passes() -> None:
    """Who copies it into a file has a test that passes."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", TOUR, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    assert callable(test)
    test()


def test_what_the_tour_names_is_there() -> None:
    """Every file and folder in its table exists."""
    found = re.findall(r"`([a-z_]+/|[a-z_]+\.py)`", TOUR)
    assert len(found) > 10
    for name in found:
        assert Path(__file__).with_name(name.rstrip("/")).exists(), name
