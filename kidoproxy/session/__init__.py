"""The conversation with one client: its mode, its requests in, its replies out; bytes and facts, no sockets."""
