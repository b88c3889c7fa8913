"""To be watched: the counters of the house as Prometheus text, and a small HTTP endpoint.

The counters themselves are plain integers where they are counted: `ProxyState` (clients, commands, bytes), the links
(replies, time-outs, reconnects), the exchange (misses) and the copy groups. What is here only reads them.
"""
