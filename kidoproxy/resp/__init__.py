"""Bytes and frames of the Redis protocol (RESP2 and RESP3), and nothing else.

The only rooms that know what CRLF, ``$`` and ``*`` mean. Frames are cut raw: what one node said
travels to the client byte for byte, and is looked into only where several replies become one.
"""
