"""A redis-py client whose every command is asked of each node: ``PROXY EACH SET k v`` instead of ``SET k v``.

Imported when it is first needed, as Django's backend imports redis.
"""

from typing import Any, Final

from redis import Redis

from kidoproxy.django.replies import Replies

#: Options that redis-py means for reading and caching a reply, not for the command's callback.
_NOT_FOR_CALLBACKS: Final = frozenset(("EMPTY_RESPONSE", "NEVER_DECODE", "keys"))


class EachNodeRedis(Redis):
    """Methods answer `Replies`; an error is raised only when no node did what was asked."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One reply per node, each through the callback that redis-py has for the command."""
        # redis-py cuts the first argument at its spaces ("XGROUP CREATE"), so our words go in front of it there.
        execute: Any = super().execute_command
        raw = execute(f"PROXY EACH {args[0]}", *args[1:], **options)
        callbacks: Any = self.response_callbacks
        callback = callbacks.get(args[0])
        if callback is None:
            replies = Replies(raw)
        else:
            callback_options = {name: value for name, value in options.items() if name not in _NOT_FOR_CALLBACKS}
            replies = Replies(
                reply if isinstance(reply, Exception) else callback(reply, **callback_options) for reply in raw
            )
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors and len(errors) == len(replies):
            raise errors[0]
        return replies
