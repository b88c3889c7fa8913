"""All that is asynchronous: sockets, the event loop, the clock, signals, files and logs."""
