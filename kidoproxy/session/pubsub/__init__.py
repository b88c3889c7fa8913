"""Channels: who listens to what, on which node, and how one message reaches many."""
