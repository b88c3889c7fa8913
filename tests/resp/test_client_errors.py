"""`kidoproxy.resp.client_errors`: errors about clients and users."""

import pytest

from kidoproxy.resp import client_errors


@pytest.mark.parametrize("build", ["bad_client_info", "unknown_client_option", "unknown_client_type", "no_such_user"])
def test_what_is_wrong_is_named(build: str) -> None:
    """The error has the argument that is wrong."""
    assert b"odd" in getattr(client_errors, build)(b"odd")
