"""A node's own secrets are not for clients: they are taken out of its replies.

* ``CONFIG GET`` (globs too) shows the node's password, its master's, and those of its keys: they are left out.
* ``SLOWLOG GET``, ``COMMANDLOG GET`` and ``MONITOR`` of older servers show the passwords of AUTH, the proxy's among
  them: all arguments of such commands are hidden.
* ``MODULE LIST`` shows the arguments that a module was loaded with: hidden too.

The users of a node (``ACL LIST``) and its clients (``CLIENT LIST``) are asked of no node at all. A reply that has not
the expected shape is passed on as it is.
"""

from functools import partial
from typing import Final

from kidoproxy.commands.overlay_traits import SECRET_ARGUMENTS
from kidoproxy.commands.spec import (
    COPY_PUBSUB_NODE,
    SECRETS_NONE,
    SECRETS_OF_MODULES,
    SECRETS_OF_SETTINGS,
    SUM_BY_NAME,
    CommandSpec,
    Secrets,
)
from kidoproxy.replies.callbacks import InterceptingHandler, transform_reply
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import is_null, items, type_byte
from kidoproxy.resp.decode import string_value as text_of
from kidoproxy.resp.encode import array, bulk, mapping
from kidoproxy.routes.route import RequestContext
from kidoproxy.session.base import Session
from kidoproxy.session.peers import Answers, Peers
from kidoproxy.session.pubsub.counts import SUBSCRIBERS, correct_reply, sum_parts

#: Settings whose value is secret: those with such an ending, and these.
SECRET_SUFFIXES: Final = (b"pass", b"auth", b"password", b"passwd", b"secret", b"token")
SECRET_SETTINGS: Final = (b"masteruser", b"primaryuser", b"user", b"aclfile", b"loadmodule")
PLACEHOLDER: Final = b"(redacted)"

LIST_TYPES: Final = b"*~"
MAP_TYPE: Final = ord("%")
STRING_TYPES: Final = b"$+="


def may_hold_secrets(spec: CommandSpec) -> bool:
    """Whether the reply has to be redacted."""
    return spec.secrets != SECRETS_NONE


def is_secret_setting(setting: bytes) -> bool:
    """Whether the value of a setting of this name is for the node's operator alone."""
    name = setting.lower()
    return name in SECRET_SETTINGS or name.endswith(SECRET_SUFFIXES)


def has_client_view(spec: CommandSpec) -> bool:
    """Whether the client gets something else than the node's reply."""
    return spec.replication == COPY_PUBSUB_NODE or may_hold_secrets(spec)


def corrected_count_handler(
    session: Session, spec: CommandSpec, argv: list[bytes], handler: ReplyHandler, request_context: RequestContext
) -> ReplyHandler:
    """The handler for a node's reply: secrets are taken out, and counts of subscribers mean the proxy's clients."""
    if may_hold_secrets(spec):
        return transform_reply(handler, partial(redact_replies, spec.secrets, request_context.per_node))
    if spec.replication == COPY_PUBSUB_NODE and not request_context.per_node:
        if spec.response_policy == SUM_BY_NAME and session.proxy.peers is not None and not session.context.has_copies:
            return shared_count_handler(session, session.proxy.peers, spec, argv, handler)
        subscriptions = session.proxy.subscriptions_of(session.context)
        return transform_reply(handler, partial(correct_reply, subscriptions, spec, argv, {}))
    return handler


def shared_count_handler(
    session: Session, peers: Peers, spec: CommandSpec, argv: list[bytes], handler: ReplyHandler
) -> ReplyHandler:
    """The handler for the nodes' reply to NUMSUB that asks the other workers for what they know."""
    names = list(dict.fromkeys(argv[2:]))

    def on_reply(raw: bytes) -> None:
        words = [SUBSCRIBERS, b"%d" % spec.topic_kind, *names]
        take_answers = partial(reply_with_others, session, spec, argv, names, handler, raw)
        peers.ask(peers.others, session.context.name, words, take_answers)

    return InterceptingHandler(handler, on_reply, handler.on_failure)


def reply_with_others(
    session: Session,
    spec: CommandSpec,
    argv: list[bytes],
    names: list[bytes],
    handler: ReplyHandler,
    raw: bytes,
    answers: Answers,
) -> None:
    """The nodes' reply to NUMSUB, corrected by what this worker and the others know."""
    others = sum_parts(names, [part for part in answers.values() if part is not None])
    handler.on_reply(correct_reply(session.proxy.subscriptions_of(session.context), spec, argv, others, raw))


def redact_replies(secrets: Secrets, per_node: bool, raw: bytes) -> bytes:
    """A node's reply, or (``per_node``) a list of several nodes' replies, without these secrets."""
    if per_node and is_list(raw):
        return array([redact_reply(secrets, item) for item in items(raw)])
    return redact_reply(secrets, raw)


def redact_reply(secrets: Secrets, raw: bytes) -> bytes:
    """One node's reply without these secrets."""
    if secrets == SECRETS_OF_SETTINGS:
        return redact_config(raw)
    if not is_list(raw):
        return raw
    redact_item = redact_module if secrets == SECRETS_OF_MODULES else redact_log_entry
    return array([redact_item(item) for item in items(raw)])


def redact_config(raw: bytes) -> bytes:
    """Name, value, name, value … without the secret settings."""
    if not is_list(raw) and type_byte(raw) != MAP_TYPE:
        return raw
    elements = items(raw)
    kept: list[bytes] = []
    for index in range(0, len(elements) - 1, 2):
        if not is_string(elements[index]) or not is_secret_setting(text_of(elements[index])):
            kept += elements[index : index + 2]
    return mapping(3, kept) if type_byte(raw) == MAP_TYPE else array(kept)


def redact_log_entry(raw: bytes) -> bytes:
    """One entry of a slow log: id, time, duration, the arguments of the command, and what newer servers add."""
    if not is_list(raw):
        return raw
    elements = items(raw)
    if len(elements) > 3 and is_list(elements[3]):
        arguments = items(elements[3])
        if arguments and is_string(arguments[0]) and text_of(arguments[0]).lower() in SECRET_ARGUMENTS:
            elements[3] = array([arguments[0], bulk(PLACEHOLDER)])
    return array(elements)


def redact_module(raw: bytes) -> bytes:
    """One module's fields, without the arguments that it was loaded with."""
    if not is_list(raw) and type_byte(raw) != MAP_TYPE:
        return raw
    elements = items(raw)
    for index in range(0, len(elements) - 1, 2):
        if is_string(elements[index]) and text_of(elements[index]) == b"args":
            elements[index + 1] = array([])
    return mapping(3, elements) if type_byte(raw) == MAP_TYPE else array(elements)


def redact_monitor_line(raw: bytes) -> bytes:
    """One line of MONITOR: ``+1339518083.107412 [0 127.0.0.1:60866] "auth" "secret"``."""
    head, bracket, tail = raw.partition(b'] "')
    command_name = tail[:16].partition(b'"')[0]
    if not bracket or command_name.lower() not in SECRET_ARGUMENTS:
        return raw
    return b'%b] "%b" "%b"\r\n' % (head, command_name, PLACEHOLDER)


def is_list(raw: bytes) -> bool:
    """Whether it has items, and is no map."""
    return type_byte(raw) in LIST_TYPES and not is_null(raw)


def is_string(raw: bytes) -> bool:
    """Whether it is a string of any kind."""
    return type_byte(raw) in STRING_TYPES and not is_null(raw)
