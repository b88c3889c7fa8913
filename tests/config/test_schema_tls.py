"""`kidoproxy.config.schema_tls`: the table ``tls``; what is made of it is in test_tls_build.py."""

from kidoproxy.config.schema_tls import TlsTable


def test_nothing_is_given_by_default() -> None:
    """No TLS to clients; nodes are verified; who shows a certificate must show a good one, and is nobody by it."""
    table = TlsTable.model_validate({})
    assert (table.cert_file, table.key_file, table.client_ca_file, table.verify) == ([], [], None, True)
    assert (table.auth_clients, table.auth_clients_user, table.min_version) == ("required", "off", "1.2")
