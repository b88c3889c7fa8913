"""ACL: answered from the proxy's configuration, in the shape of Redis 7. Nothing can be changed by it.

``ACL LOG`` is always empty: failed logins are counted, not kept. Hashes of passwords are shown as Redis shows
them, to whoever may run ACL GETUSER and ACL LIST.
"""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.acl import CATEGORIES, DENIED_COMMAND, DENIED_KEY, Denial
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import client_errors, encode, errors
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.base import Answer, Session
from kidoproxy.session.users import User

#: Bits of a generated password, and how many may be asked for.
DEFAULT_PASSWORD_BITS: Final = 256
MAX_PASSWORD_BITS: Final = 4096

HELP: Final = (
    b"ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"CAT [<category>]",
    b"    List all commands that belong to <category>, or all command categories",
    b"    when no category is specified.",
    b"DRYRUN <username> <command> [<arg> ...]",
    b"    Returns whether the user can execute the given command without executing the command.",
    b"GETUSER <username>",
    b"    Get the user's details.",
    b"GENPASS [<bits>]",
    b"    Generate a secure 256-bit user password. The optional `bits` argument can",
    b"    be used to specify a different size.",
    b"LIST",
    b"    Show users details in config file format.",
    b"LOG [<count> | RESET]",
    b"    Show the ACL log entries (there are none: failed logins are counted).",
    b"USERS",
    b"    List all the registered usernames.",
    b"WHOAMI",
    b"    Return the current connection username.",
    b"HELP",
    b"    Print this help.",
)


def format_user(user: User) -> bytes:
    """One user as a line of an ACL file."""
    acl = user.acl
    tokens = [b"user", user.name, b"on" if user.enabled else b"off"]
    if user.nopass:
        tokens.append(b"nopass")
    tokens += [b"#" + digest for digest in user.password_hashes]
    if acl.key_rules:
        tokens.append(acl.format_keys())
    if not acl.all_channels:
        tokens.append(b"resetchannels")
    if acl.channel_patterns:
        tokens.append(acl.format_channels())
    return b" ".join([*tokens, acl.format_commands()])


def user_details(user: User, proto: int) -> bytes:
    """One user as a map."""
    bulk = encode.bulk
    acl = user.acl
    flags = [bulk(b"on" if user.enabled else b"off")]
    if user.nopass:
        flags.append(bulk(b"nopass"))
    return encode.mapping(
        proto,
        [
            *(bulk(b"flags"), encode.set_of(proto, flags)),
            *(bulk(b"passwords"), encode.array([bulk(digest) for digest in user.password_hashes])),
            *(bulk(b"commands"), bulk(acl.format_commands())),
            *(bulk(b"keys"), bulk(acl.format_keys())),
            *(bulk(b"channels"), bulk(acl.format_channels())),
            *(bulk(b"selectors"), encode.array([])),
        ],
    )


def get_user(session: Session, argv: list[bytes]) -> bytes:
    """ACL GETUSER."""
    user = session.context.users.find(argv[2])
    return user_details(user, session.proto) if user is not None else encode.null(session.proto)


def category_reply(session: Session, argv: list[bytes]) -> bytes:
    """ACL CAT: the categories, or the commands in one of them."""
    if len(argv) > 3:
        return client_errors.wrong_subcommand(argv)
    if len(argv) == 2:
        return encode.array([encode.bulk(category_name.encode()) for category_name in CATEGORIES.split()])
    category = argv[2].lower().decode("latin-1")
    if category not in CATEGORIES.split():
        return client_errors.unknown_category(argv[2])
    return encode.array([encode.bulk(spec.name) for spec in all_specs() if category in spec.categories])


def dry_run_reply(session: Session, argv: list[bytes]) -> bytes:
    """ACL DRYRUN: OK, or why the user may not run the command."""
    user = session.context.users.find(argv[2])
    if user is None:
        return client_errors.user_not_found(argv[2])
    command_argv, spec = session.context.commands.resolve_nested(argv[3:])
    if spec is None or (spec.subcommands is not None and len(command_argv) > 1):
        return client_errors.command_not_found(argv[3])
    if not spec.accepts(len(command_argv)):
        return errors.wrong_arity(spec.name)
    denial = user.acl.check(spec, command_argv)
    return encode.OK if denial is None else encode.bulk(denial_text(spec, command_argv, denial))


def denial_text(spec: CommandSpec, argv: list[bytes], denial: Denial) -> bytes:
    """A denial in the words of ACL DRYRUN."""
    if denial.kind == DENIED_COMMAND:
        return b"This user has no permissions to run the '%b' command" % spec.name
    resource = b"key" if denial.kind == DENIED_KEY else b"channel"
    return b"This user has no permissions to access the '%b' %b" % (argv[denial.position], resource)


def generate_password(session: Session, argv: list[bytes]) -> bytes:
    """ACL GENPASS: random hexadecimal digits, four bits each."""
    if len(argv) > 3:
        return client_errors.wrong_subcommand(argv)
    bits = parse_int64(argv[2]) if len(argv) == 3 else DEFAULT_PASSWORD_BITS
    if bits is None:
        return errors.NOT_INTEGER
    if not 0 < bits <= MAX_PASSWORD_BITS:
        return client_errors.BAD_GENPASS_BITS
    random_bytes = session.proxy.random_bytes
    if random_bytes is None:
        return errors.not_served(b"acl|genpass", "this process has no source of chance")
    digits = (bits + 3) // 4
    return encode.bulk(random_bytes((digits + 1) // 2).hex().encode("ascii")[:digits])


def log_reply(session: Session, argv: list[bytes]) -> bytes:
    """ACL LOG [count | RESET]."""
    if len(argv) > 3:
        return client_errors.wrong_subcommand(argv)
    if len(argv) == 2:
        return encode.array([])
    if argv[2].lower() == b"reset":
        return encode.OK
    return encode.array([]) if parse_int64(argv[2]) is not None else errors.NOT_INTEGER


def list_users(session: Session, argv: list[bytes]) -> bytes:
    """ACL LIST."""
    return encode.array([encode.bulk(format_user(user)) for user in session.context.users.sorted_by_name()])


def user_names(session: Session, argv: list[bytes]) -> bytes:
    """ACL USERS."""
    return encode.array([encode.bulk(user.name) for user in session.context.users.sorted_by_name()])


def help_reply(session: Session, argv: list[bytes]) -> bytes:
    """ACL HELP."""
    return encode.array([encode.simple(line) for line in HELP])


def whoami_reply(session: Session, argv: list[bytes]) -> bytes:
    """ACL WHOAMI."""
    return encode.bulk(session.user.name)


ANSWERS: Final[dict[HandlerId, Answer]] = {
    handler_ids.ACL_CAT: category_reply,
    handler_ids.ACL_DRYRUN: dry_run_reply,
    handler_ids.ACL_GENPASS: generate_password,
    handler_ids.ACL_GETUSER: get_user,
    handler_ids.ACL_HELP: help_reply,
    handler_ids.ACL_LIST: list_users,
    handler_ids.ACL_LOG: log_reply,
    handler_ids.ACL_USERS: user_names,
    handler_ids.ACL_WHOAMI: whoami_reply,
}
