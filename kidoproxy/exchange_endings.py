"""What a node has been told to unblock, and the lanes that must not overtake that."""

from typing import final

from kidoproxy.link import NodeLink


@final
class Held:
    """A lane that is held until what was told with a number up to ``after`` is over."""

    def __init__(self, link: NodeLink, after: int) -> None:
        self.link = link
        self.after = after


@final
class Endings:
    """By node: what it was told to unblock and may still wait there, in the order of the telling."""

    def __init__(self, nodes: int) -> None:
        self.last = 0
        self.open: list[dict[int, bool]] = [{} for _ in range(nodes)]
        self.held: list[list[Held]] = [[] for _ in range(nodes)]

    def begin(self, at: int) -> int:
        """The node is being told; the number of that."""
        self.last += 1
        self.open[at][self.last] = True
        return self.last

    def keep_order(self, link: NodeLink) -> None:
        """What is placed on this lane from now on must not reach its node before what that has been told already.

        Lanes are connections of their own, so the lane is held until then.
        """
        at = link.node.index
        if self.open[at] and not link.holding:
            self.held[at].append(Held(link, self.last))
            link.hold()

    def over(self, at: int, number: int, now: float) -> None:
        """That one does not wait any more, whether it was told to or not; lanes that were held for it go on."""
        waiting = self.open[at]
        if waiting.pop(number, False):
            first = next(iter(waiting), self.last + 1)
            held = self.held[at]
            self.held[at] = [one for one in held if one.after >= first]
            for one in held:
                if one.after < first:
                    one.link.unhold(now)
