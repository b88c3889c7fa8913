"""ACL: who may do what, answered from the proxy's configuration as Redis 7 answers it. It changes nothing.

``ACL LOG`` is always empty: failed logins are counted, not kept. Hashes of passwords are shown as Redis shows
them, to whoever may say ACL GETUSER and ACL LIST.
"""

from typing import TYPE_CHECKING, Final

from kidoproxy import errors
from kidoproxy.commands.find import every
from kidoproxy.commands.permit import CATEGORIES, COMMAND, KEY, Denial
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import build
from kidoproxy.session.client import integer
from kidoproxy.session.users import User

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: Bits of a generated password, and how many may be asked for.
PASSWORD_BITS: Final = 256
MOST_BITS: Final = 4096

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


def answer(session: "ClientSession", name: bytes, argv: list[bytes]) -> bytes:
    """The reply to one ACL subcommand; ``name`` is its full name, ``acl|whoami``."""
    users = session.pool.users
    if name == b"acl|whoami":
        return build.bulk(session.user.name)
    if name == b"acl|users":
        return build.array([build.bulk(user.name) for user in users.sorted()])
    if name == b"acl|list":
        return build.array([build.bulk(described(user)) for user in users.sorted()])
    if name == b"acl|getuser":
        user = users.named(argv[2])
        return details(user, session.proto) if user is not None else build.null(session.proto)
    if name == b"acl|dryrun":
        return dry_run(session, argv)
    if name == b"acl|help":
        return build.array([build.simple(text) for text in HELP])
    if len(argv) > 3:
        return errors.wrong_subcommand(argv)
    if name == b"acl|cat":
        return cat(argv)
    return genpass(session, argv) if name == b"acl|genpass" else log(argv)


def described(user: User) -> bytes:
    """One user as a line of an ACL file."""
    permit = user.permit
    words = [b"user", user.name, b"on" if user.enabled else b"off"]
    if user.nopass:
        words.append(b"nopass")
    words += [b"#" + known for known in user.digests]
    if permit.key_texts:
        words.append(permit.keys())
    if not permit.all_channels:
        words.append(b"resetchannels")
    if permit.channel_patterns:
        words.append(permit.channels())
    return b" ".join([*words, permit.commands()])


def details(user: User, proto: int) -> bytes:
    """One user as a map."""
    bulk = build.bulk
    permit = user.permit
    flags = [bulk(b"on" if user.enabled else b"off")]
    if user.nopass:
        flags.append(bulk(b"nopass"))
    return build.mapping(
        proto,
        [
            *(bulk(b"flags"), build.setof(proto, flags)),
            *(bulk(b"passwords"), build.array([bulk(known) for known in user.digests])),
            *(bulk(b"commands"), bulk(permit.commands())),
            *(bulk(b"keys"), bulk(permit.keys())),
            *(bulk(b"channels"), bulk(permit.channels())),
            *(bulk(b"selectors"), build.array([])),
        ],
    )


def cat(argv: list[bytes]) -> bytes:
    """The categories, or the commands in one of them."""
    if len(argv) == 2:
        return build.array([build.bulk(word.encode()) for word in CATEGORIES.split()])
    wanted = argv[2].lower().decode("latin-1")
    if wanted not in CATEGORIES.split():
        return errors.unknown_category(argv[2])
    return build.array([build.bulk(spec.name) for spec in every() if wanted in spec.categories])


def dry_run(session: "ClientSession", argv: list[bytes]) -> bytes:
    """Whether a user may say this: OK, or why not."""
    user = session.pool.users.named(argv[2])
    if user is None:
        return errors.user_not_found(argv[2])
    request, spec = session.pool.words.meant(argv[3:])
    if spec is None or (spec.subs is not None and len(request) > 1):
        return errors.command_not_found(argv[3])
    if not spec.accepts(len(request)):
        return errors.wrong_arity(spec.name)
    denial = user.permit.check(spec, request)
    return build.OK if denial is None else build.bulk(verdict(spec, request, denial))


def verdict(spec: CommandSpec, argv: list[bytes], denial: Denial) -> bytes:
    """A denial as ACL DRYRUN tells it."""
    if denial.kind == COMMAND:
        return b"This user has no permissions to run the '%b' command" % spec.name
    what = b"key" if denial.kind == KEY else b"channel"
    return b"This user has no permissions to access the '%b' %b" % (argv[denial.at], what)


def genpass(session: "ClientSession", argv: list[bytes]) -> bytes:
    """A password nobody can guess, four bits a digit."""
    bits = integer(argv[2]) if len(argv) == 3 else PASSWORD_BITS
    if bits is None:
        return errors.NOT_INTEGER
    if not 0 < bits <= MOST_BITS:
        return errors.BAD_BITS
    chance = session.house.chance
    if chance is None:
        return errors.denied(b"acl|genpass", "this process has no source of chance")
    digits = (bits + 3) // 4
    return build.bulk(chance((digits + 1) // 2).hex().encode("ascii")[:digits])


def log(argv: list[bytes]) -> bytes:
    """ACL LOG [count | RESET]."""
    if len(argv) == 2:
        return build.array([])
    if argv[2].lower() == b"reset":
        return build.OK
    return build.array([]) if integer(argv[2]) is not None else errors.NOT_INTEGER
