"""Pub/sub: which client subscribes to what, on which node, and how one message reaches many clients.

`Subscriptions` (one per pool) has a `Source` for each place where channels live; a source listens to its node through a
`UpstreamSubscriber`, which is one connection.
"""
