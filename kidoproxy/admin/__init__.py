"""For operators: the command line, health pages, Prometheus metrics, and embedded nodes for a first run.

Counters are plain integers where they are counted: `ProxyState` (clients, commands, bytes), connections (replies,
time-outs, reconnects), the executor (misses) and copy groups. What is here only reads them, when somebody asks.
"""
