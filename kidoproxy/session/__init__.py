"""One client's session: its state, its requests in, its replies out. Bytes only, no sockets."""
