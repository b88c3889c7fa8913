"""The table ``tls`` of a pool, as it is written: part of `kidoproxy.config.schema`."""

from typing import Literal

from pydantic import Field

from kidoproxy.config.schema_base import StringList, Table


class TlsTable(Table):
    """TLS towards rediss:// nodes (``ca_file``, ``verify``, ``node_*``) and towards clients (all else)."""

    ca_file: str | None = Field(
        None,
        min_length=1,
        description="Authorities to trust at rediss:// nodes. Default: the system's.",
        examples=["/etc/ssl/redis-ca.pem"],
    )
    verify: bool = Field(True, description="false accepts any certificate of a node: for tests only.")
    cert_file: StringList = Field(
        default_factory=list,
        description="Clients must speak TLS on this pool's TCP listeners. The chain of certificates they are shown; of "
        "several (a list) the one of the name that a client asks for (SNI), else the first.",
        examples=["/etc/kidoproxy/cert.pem"],
    )
    key_file: StringList = Field(
        default_factory=list,
        description="The key of cert_file; as many as there are certificates, in their order.",
        examples=["/etc/kidoproxy/key.pem"],
    )
    client_ca_file: str | None = Field(
        None,
        min_length=1,
        description="Clients must show a certificate of one of these authorities. Default: none is wanted.",
        examples=["/etc/kidoproxy/clients-ca.pem"],
    )
    auth_clients: Literal["required", "optional"] = Field(
        "required",
        description='Whether a client without a certificate of client_ca_file is turned away ("required") or has to '
        'log in as anybody ("optional").',
    )
    auth_clients_user: Literal["off", "CN", "URI"] = Field(
        "off",
        description="The field of a client's certificate that names its user, logged in without a password, "
        'as by tls-auth-clients-user of Redis and Valkey: "CN" of the subject, or a "URI" of the alternative names.',
    )
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="Oldest TLS that clients may speak.")
    ciphers: str | None = Field(
        None,
        min_length=1,
        description="Ciphers of TLS 1.2 that clients may use, as OpenSSL writes them. Default: OpenSSL's.",
        examples=["ECDHE+AESGCM:ECDHE+CHACHA20"],
    )
    node_cert_file: str | None = Field(
        None,
        min_length=1,
        description="The certificate that rediss:// nodes are shown, which want one by default (tls-auth-clients).",
        examples=["/etc/kidoproxy/node-cert.pem"],
    )
    node_key_file: str | None = Field(
        None, min_length=1, description="The key of node_cert_file.", examples=["/etc/kidoproxy/node-key.pem"]
    )
