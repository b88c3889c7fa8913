"""Which databases a sync may touch: those that both servers have accepted, each tried once."""

from kidoproxy.replication.sync_databases import SyncDatabases, parse_key_counts
from kidoproxy.resp.encode import bulk
from kidoproxy.routes.topology import Node


def test_each_is_tried_once() -> None:
    """One that was accepted is remembered for the passes that follow, and raises what the nodes are known to have."""
    databases = SyncDatabases()
    nodes = [Node(0, "a", "a:1", 0), Node(1, "b", "b:1", 1)]
    databases.remaining = [0, 5]
    tried = []
    while databases.probe_next():
        tried.append(databases.probed)
        databases.mark_probed_usable(nodes)
    assert tried == [0, 5]
    assert [node.highest_db for node in nodes] == [5, 5]
    databases.remaining = [5]
    assert not databases.probe_next()


def test_key_counts() -> None:
    """By database; nothing at all when one of the two does not say."""
    full, empty = bulk(b"# Keyspace\r\ndb3:keys=2,expires=0\r\n"), bulk(b"# Keyspace\r\n")
    assert parse_key_counts([full, empty]) == [{3: 2}, {}]
    assert parse_key_counts([full, b":1\r\n"]) == []
