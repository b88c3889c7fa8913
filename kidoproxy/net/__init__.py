"""The only asyncio in the data path: sockets, the loop, the clock, signals and logs."""
