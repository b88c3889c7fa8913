"""A client of TLS is logged in as the user that its certificate names: Redis's and Valkey's tls-auth-clients-user.

It need not say AUTH, and may; RESET logs it out. One whose certificate names nobody is who it would be without.
"""

from kidoproxy.session.base import Session
from kidoproxy.session.incidents import CERTIFICATE_REFUSED


def log_in_by_certificate(session: Session, names: list[bytes]) -> None:
    """Switch to the first of these users who is there and enabled; a certificate that names only others counts."""
    for name in names:
        user = session.context.users.find(name)
        if user is not None and user.enabled:
            session.user = user
            session.authed = True
            session.update_flags()
            return
    if names:
        session.proxy.incidents.record(CERTIFICATE_REFUSED, session.context.name, names[0], session.address)
