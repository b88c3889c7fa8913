"""Which error replies are about the node rather than about the request."""

import pytest

from kidoproxy.resp.node_errors import CANNOT_SERVE_ERRORS, UNFIT_ERRORS, cannot_serve_now, is_node_unfit


@pytest.mark.parametrize("code", [prefix.strip() for prefix in CANNOT_SERVE_ERRORS])
def test_a_node_that_cannot_serve_now_is_unfit(code: bytes) -> None:
    """Such a node has not run the command, and will serve again when it is left alone."""
    assert cannot_serve_now(code + b" why\r\n")
    assert is_node_unfit(code + b" why\r\n")


@pytest.mark.parametrize("code", [prefix for prefix in UNFIT_ERRORS if prefix not in CANNOT_SERVE_ERRORS])
def test_what_one_node_lacks_another_may_have(code: bytes) -> None:
    """A login or a script may be missing at one node only; that does not pass by itself."""
    assert is_node_unfit(code + b" why\r\n")
    assert not cannot_serve_now(code + b" why\r\n")


@pytest.mark.parametrize("raw", [b"-ERR LOADING\r\n", b"-WRONGTYPE x\r\n", b"-BUSYKEY x\r\n", b"+LOADING\r\n", b""])
def test_other_replies_are_about_the_request(raw: bytes) -> None:
    """Every node would give the same."""
    assert not is_node_unfit(raw)
    assert not cannot_serve_now(raw)
