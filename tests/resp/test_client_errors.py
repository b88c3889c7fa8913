"""`kidoproxy.resp.client_errors`: what Redis says about AUTH, HELLO, CLIENT and ACL."""

import pytest

from kidoproxy.resp import client_errors


@pytest.mark.parametrize("build", ["bad_client_info", "unknown_client_option", "unknown_client_type", "no_such_user"])
def test_client_sentences(build: str) -> None:
    """They name the word that was wrong."""
    assert b"odd" in getattr(client_errors, build)(b"odd")
