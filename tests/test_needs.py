"""What becomes of a test whose program is missing."""

from pathlib import Path

import pytest

from tests.needs import needs, needs_node_packages, needs_package


@pytest.fixture(autouse=True)
def at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("KIDOPROXY_CI", raising=False)


def test_a_program_that_is_there_is_found_by_its_path() -> None:
    """`needs` gives something that can be run."""
    assert needs("sh").endswith("/sh")


def test_a_missing_program_skips_the_test_and_says_what_to_install() -> None:
    """At a developer's desk an optional program is optional."""
    with pytest.raises(pytest.skip.Exception, match=r"needs no-such-program .*apt-get install no-such-program"):
        needs("no-such-program")


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("KIDOPROXY_CI", "1")])
def test_a_missing_program_fails_the_test_in_continuous_integration(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Nothing is skipped in CI: a green run there has run everything."""
    monkeypatch.setenv(name, value)
    with pytest.raises(pytest.fail.Exception, match="needs no-such-program"):
        needs("no-such-program")


def test_a_package_that_cannot_be_had_skips_the_test_and_says_why(tmp_path: Path) -> None:
    """What pip said is in the reason."""
    with pytest.raises(pytest.skip.Exception, match=r"needs redis==0\.0\.0, which pip could not install: .+"):
        needs_package("redis", "==0.0.0", tmp_path)


def test_a_node_package_that_cannot_be_had_skips_the_test_and_says_why(tmp_path: Path) -> None:
    """What npm said is in the reason; without npm itself that is missing."""
    with pytest.raises(pytest.skip.Exception, match=r"needs (\./no-such-folder, which npm could not install: .+|npm )"):
        needs_node_packages(tmp_path, "./no-such-folder")
