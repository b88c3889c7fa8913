"""The client of the control plane: its options, and the sentences for what goes wrong."""

import pytest
import redis

from kidoproxy.admin.redis_client import connect, describe_error
from kidoproxy.config import (
    Address,
    Secret,
    Tls,
)


def test_reasons_of_last_resort() -> None:
    """An error that says nothing is named by its class."""
    assert describe_error(redis.ConnectionError("Some Thing.\nmore")) == "some thing"
    assert describe_error(redis.ConnectionError()) == "ConnectionError"


@pytest.mark.parametrize(("tls", "verify"), [(Tls("", True), "required"), (Tls("/ca", False), "none")])
def test_tls(tls: Tls, verify: str) -> None:
    """The configured trust reaches the client."""
    with connect(Address("h", 1), "", Secret(), tls, 1.0) as client:
        options = client.connection_pool.connection_kwargs

    assert (options["ssl_cert_reqs"], options["ssl_check_hostname"]) == (verify, tls.verify)
    assert options["ssl_ca_certs"] == (tls.ca_file or None)
