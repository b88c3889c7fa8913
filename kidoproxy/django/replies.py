"""What each node said to one write, as a list: ``[True, True]``, as RedisCopy has always answered."""

from typing import Any


class Replies(list[Any]):
    """One element per node, in the order of the proxy's configuration; a node that could not answer is its error.

    Equal to the plain list. True when every node that answered said something true, so that
    ``if cache.add("lock", 1):`` means what it means with any other cache: ``[False, False]`` is not true.
    """

    def __bool__(self) -> bool:
        answers = [reply for reply in self if not isinstance(reply, Exception)]
        return bool(answers) and all(answers)
