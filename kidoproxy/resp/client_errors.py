"""Errors about one client: AUTH, HELLO, SELECT, CLIENT and ACL.

The words are Redis's, byte for byte. See `kidoproxy.resp.errors` for the rules that all errors keep.
"""

from typing import Final

from kidoproxy.resp.errors import decode_wire, error_reply, up_to_nul

NOPERM_KEY: Final = b"-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
NOPERM_CHANNEL: Final = b"-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
NOAUTH: Final = b"-NOAUTH Authentication required.\r\n"
WRONGPASS: Final = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOPROTO: Final = b"-NOPROTO unsupported protocol version\r\n"
BAD_DB: Final = b"-ERR DB index is out of range\r\n"
NOT_INT32: Final = b"-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
NO_PASSWORD_SET: Final = (
    b"-ERR AUTH <password> called without any password configured for the default user. "
    b"Are you sure your configuration is correct?\r\n"
)
BAD_PROTO: Final = b"-ERR Protocol version is not an integer or out of range\r\n"
HELLO_NOAUTH: Final = (
    b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
    b"<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
    b"same time\r\n"
)
BAD_CLIENT_NAME: Final = b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
BAD_CLIENT_ID: Final = b"-ERR Invalid client ID\r\n"
BAD_KILL_ID: Final = b"-ERR client-id should be greater than 0\r\n"
BAD_MAXAGE: Final = b"-ERR maxage is not an integer or out of range\r\n"
NOT_POSITIVE_MAXAGE: Final = b"-ERR maxage should be greater than 0\r\n"
NO_SUCH_CLIENT: Final = b"-ERR No such client\r\n"
BAD_UNBLOCK_REASON: Final = b"-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"
BAD_TIMEOUT: Final = b"-ERR timeout is not an integer or out of range\r\n"
NEGATIVE_TIMEOUT: Final = b"-ERR timeout is negative\r\n"
BAD_PAUSE_MODE: Final = b"-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"
PAUSE_ARITY: Final = b"-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"
CACHING_WITHOUT_TRACKING: Final = (
    b"-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n"
)


def hello_option(option: bytes) -> bytes:
    """HELLO with an unknown option, or one without its arguments."""
    return error_reply(f"ERR Syntax error in HELLO option '{decode_wire(option[:128])}'")


def bad_client_info(option: bytes) -> bytes:
    """CLIENT SETINFO with a value that would break the lines of CLIENT LIST."""
    return error_reply(f"ERR {decode_wire(option[:128])} cannot contain spaces, newlines or special characters.")


def unknown_client_option(option: bytes) -> bytes:
    """CLIENT SETINFO with an unknown attribute."""
    return error_reply(f"ERR Unrecognized option '{decode_wire(option[:128])}'")


def unknown_client_type(word: bytes) -> bytes:
    """CLIENT LIST or CLIENT KILL with an unknown TYPE."""
    return error_reply(f"ERR Unknown client type '{decode_wire(word[:128])}'")


def no_such_user(name: bytes) -> bytes:
    """CLIENT KILL USER with a name that no user of this pool has."""
    return error_reply(f"ERR No such user '{decode_wire(name[:128])}'")


BAD_GENPASS_BITS: Final = (
    b"-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096\r\n"
)


def no_permission(name: bytes) -> bytes:
    """A command that the user may not run; ``name`` is the command's full name."""
    return error_reply(f"NOPERM this user has no permissions to run the '{decode_wire(name)}' command")


def sort_denied(option: str) -> bytes:
    """SORT with an option that may read any key, by a user who may not."""
    return error_reply(f"ERR {option} option of SORT denied due to insufficient ACL permissions.")


def wrong_subcommand(argv: list[bytes]) -> bytes:
    """Too many arguments for a subcommand."""
    name = decode_wire(argv[0]).upper()
    sub = decode_wire(up_to_nul(argv[1][:128]))
    return error_reply(f"ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {name} HELP.")


def unknown_category(name: bytes) -> bytes:
    """ACL CAT with an unknown category."""
    return error_reply(f"ERR Unknown category '{decode_wire(name[:128])}'")


def user_not_found(name: bytes) -> bytes:
    """ACL DRYRUN with a name that no user of this pool has."""
    return error_reply(f"ERR User '{decode_wire(name[:128])}' not found")


def command_not_found(name: bytes) -> bytes:
    """ACL DRYRUN of an unknown command."""
    return error_reply(f"ERR Command '{decode_wire(name[:128])}' not found")
