"""A crowd: several clients who say anything, and nodes that answer, fall silent, die and come back, as chance has it.

The nodes are toys that keep for each connection what a server keeps: the transaction, the watched keys, whether it
blocks. Their replies name the key that was asked for, so that a reply at the wrong place is seen.
"""

from tests.crowd.crowd import Crowd

__all__ = ["Crowd"]
