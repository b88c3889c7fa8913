"""What another worker asks this one, for a client of its own (`kidoproxy.session.peers`), and how it is answered.

The first word of a request is the name of the command that the client has sent, or one of `numbers.NUMBERS`,
`counts.SUBSCRIBERS`, `peers.SCRIPT_TEXT` and `STATE`.
"""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.resp import encode
from kidoproxy.resp.decode import integer_value, items, string_value
from kidoproxy.session.handlers import all_workers, scripts
from kidoproxy.session.handlers.client_slices import TakePart
from kidoproxy.session.numbers import NUMBERS, numbers_part
from kidoproxy.session.peers import NOT_SERVED, SCRIPT_TEXT, Answers, decode_request
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.pubsub.counts import SUBSCRIBERS, subscribers_part

HANDLER_IDS: Final[dict[bytes, HandlerId]] = {spec.name: spec.handler for spec in all_specs()}
#: Asks for `state_part`.
STATE: Final = b"state"


def answer(proxy: ProxyState, request: bytes, take: TakePart) -> None:
    """Call ``take`` once with the answer: at once, or later when it has been made in slices."""
    pool_name, words = decode_request(request)
    context = proxy.find_context(pool_name)
    if words[0] == NUMBERS:
        take(numbers_part(proxy, context))
    elif context is None:
        take(NOT_SERVED)
    elif words[0] == SUBSCRIBERS:
        take(subscribers_part(proxy.subscriptions_of(context), int(words[1]), words[2:]))
    elif words[0] == SCRIPT_TEXT:
        script = context.script_registry.find_script(words[1])
        take(encode.bulk(script.text) if script is not None else NOT_SERVED)
    elif words[0] == STATE:
        take(state_part(context))
    else:
        run_command(proxy, context, words, take)


def run_command(proxy: ProxyState, context: PoolContext, words: list[bytes], take: TakePart) -> None:
    """This worker's part of a client's command."""
    handler_id, argv = HANDLER_IDS[words[0]], words[1:]
    if handler_id in all_workers.PARTS:
        all_workers.run_part(handler_id, proxy, context, None, argv, take, proxy.executor.jobs().add)
    elif handler_id == handler_ids.SCRIPT_FLUSH:
        scripts.forget_scripts(proxy, context)
        take(encode.OK)
    else:
        scripts.learn_change(context.script_registry, handler_id, argv)
        take(encode.OK)


# -- a worker that replaces another one --------------------------------------------------------------------


def state_part(context: PoolContext) -> bytes:
    """What all workers know of a pool: until when it is paused, and for what; the requests that loaded scripts."""
    registry = context.script_registry
    frames = registry.script_load_requests() + registry.library_requests()
    pause = [encode.integer(context.paused_until_ms), encode.integer(int(context.pause_writes_only))]
    return encode.array([*pause, encode.array([encode.bulk(frame) for frame in frames])])


def learn_state(proxy: ProxyState, context: PoolContext, answers: Answers) -> None:
    """Know what the first of these knows; nothing if nobody has answered."""
    parts = [part for part in answers.values() if part is not None]
    if not parts:
        return
    paused_until, writes_only, frames = items(parts[0])
    context.paused_until_ms = integer_value(paused_until)
    context.pause_writes_only = integer_value(writes_only) == 1
    for frame in items(frames):
        argv = [string_value(word) for word in items(string_value(frame))]
        name = b"%b|%b" % (argv[0].lower(), argv[1].lower())
        scripts.learn_change(context.script_registry, HANDLER_IDS[name], argv)
    proxy.update_sessions(context)
