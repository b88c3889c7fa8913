"""What a script does, read from its text: which commands it calls, with which keys, and whether that is certain."""
