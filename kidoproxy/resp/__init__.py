"""Bytes and frames of the Redis protocol (RESP2 and RESP3), and nothing else.

Nothing else knows what CRLF, ``$`` and ``*`` mean. Frames stay raw: the reply of a single node travels to the client
byte for byte, and only where several replies become one is it decoded.
"""
