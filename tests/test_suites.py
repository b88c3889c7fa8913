"""What the suites of others write is read right, for nothing must pass because it was not understood."""

from tests.suites import pytest_outcome, tcl_outcome, unittest_outcome

TCL = """Testing unit/multi
[\x1b[0;32;49mok\x1b[0m]: MULTI (nested) works (12 ms)
[err]: EXEC fails in tests/unit/multi.tcl
Expected 'a' to match 'b'
[err]: EXEC fails in tests/unit/multi.tcl
Expected 'c' to match 'd'
[ignore]: WATCH: Tag: needs:debug denied
[skip]: PAUSE

                   The End

*** [err]: EXEC fails in tests/unit/multi.tcl
"""

PYTEST = """PASSED tests/test_a.py::test_one
PASSED tests/test_a.py::test_two[a b - c]
ERROR tests/test_a.py::test_three - E: at the end
FAILED tests/test_a.py::test_three - E: in the midst
ERROR    asyncio:base_events.py:1 a captured line
4 passed
"""

UNITTEST = """Testing against Django installed in '/x' with up to 2 processes
.F.sE
======================================================================
ERROR: test_one (cache.tests.RedisCacheTests.test_one)
What it proves.
----------------------------------------------------------------------
Traceback (most recent call last):
  File "x.py", line 1, in test_one
redis.exceptions.ResponseError: NODEDOWN

======================================================================
FAIL: test_two (cache.tests.RedisCacheTests.test_two) (key='a')
----------------------------------------------------------------------
Traceback (most recent call last):
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 6 tests in 0.123s

FAILED (failures=1, errors=1, skipped=1, expected failures=1)
"""


def test_redis() -> None:
    """Each test counts once, a name that fails twice twice; the list at the end is not read again."""
    found = tcl_outcome(TCL)
    assert found.counts == {"passed": 1, "failed": 2, "left out": 2}
    assert found.failed == {"EXEC fails": "Expected 'a' to match 'b'", "EXEC fails #2": "Expected 'c' to match 'd'"}
    assert str(found) == "1 / 2"


def test_redis_that_stops_short() -> None:
    """A unit that does not come to its end has failed, whatever passed before."""
    for text in ("", "[ok]: a (1 ms)\n[exception]: NODEDOWN\n", "[ok]: a (1 ms)\n\n[TIMEOUT]: it was ended\n"):
        assert "the unit did not end" in tcl_outcome(text).failed


def test_pytest() -> None:
    """An error at the end of a test counts beside its failure; what was logged is no test."""
    found = pytest_outcome(PYTEST)
    assert found.counts == {"passed": 2, "failed": 2}
    assert found.failed == {
        "tests/test_a.py::test_three": "E: at the end",
        "tests/test_a.py::test_three #2": "E: in the midst",
    }


def test_pytest_that_stops_short() -> None:
    """A file that cannot even be read has failed; one of which nothing was chosen has not."""
    assert pytest_outcome("ImportError: no\n").failed
    assert not pytest_outcome("3 deselected in 0.1s\n").failed


def test_django() -> None:
    """Each failure by its full name and its last line; what was skipped has not passed."""
    found = unittest_outcome(UNITTEST)
    assert found.counts == {"passed": 2, "failed": 2, "left out": 2}
    assert found.failed == {
        "cache.tests.RedisCacheTests.test_one": "redis.exceptions.ResponseError: NODEDOWN",
        "cache.tests.RedisCacheTests.test_two": "AssertionError: 1 != 2",
    }
    assert unittest_outcome("Ran 1 test in 0.001s\n\nOK\n").counts["passed"] == 1
    assert unittest_outcome("ImportError: no\n").failed == {"the unit did not end": "ImportError: no"}
