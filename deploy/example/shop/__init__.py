"""A small site on kidoproxy: pages, sessions, a lock, a counter, a task, and which node served what."""
