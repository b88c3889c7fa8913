"""Pub/sub: which client subscribes to what, on which node, and how one message reaches many clients.

`Subscriptions` (one per pool) has a `MessageSource` for each place where channels live; a source subscribes at its node
through an `UpstreamSubscriber`, which is one connection. A `Topic` is a channel, a pattern or a shard channel.
"""
