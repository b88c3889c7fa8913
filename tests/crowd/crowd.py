"""All of a crowd, and what must hold at any moment."""

import math
from collections import Counter
from collections.abc import Callable

from kidoproxy.resp.encode import (
    encode_request,
)
from kidoproxy.session import cleanup
from kidoproxy.session.handlers.monitor import Monitor
from kidoproxy.session.mode import BLOCKED, CLOSING, PAUSED, READY
from kidoproxy.session.session import ClientSession
from kidoproxy.session.watches import DedicatedWatch
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.states import CONNECTING, DOWN
from tests import accounts
from tests.crowd.clients import Speaker
from tests.crowd.nodes import Server, cut
from tests.crowd.requests import UNBLOCK
from tests.greet import HANDSHAKE, LEASED_HANDSHAKE
from tests.story import Pool, Story, tick


class Crowd:
    """A story in which anything may happen, and what must hold at any moment of it."""

    def __init__(self, pool: Pool, count: int = 3) -> None:
        self.play = Story(pool, shy=True)
        self.servers = {node.name: Server(self.play, node.name, self.may_be_unblocked) for node in pool.nodes}
        self.speakers = [Speaker(f"c{at}") for at in range(count)]
        for speaker in self.speakers:
            self.play.client(speaker.name)

    def get_to_know(self) -> None:
        """Each node is connected, and has an idle dedicated connection."""
        for node in self.play.pool.nodes:
            self.play.executor.connection(node, 2, 0).start_connecting()
            self.play.proxy.dedicated_pool.acquire(node, 2, 0).connection.start_connecting()
        self.turn()
        self.connect()
        for node in self.play.pool.nodes:
            # A copy is asked for the id of a shared connection, too.
            self.answer(node.name, 0, len(HANDSHAKE) + len(LEASED_HANDSHAKE) + node.is_copy)
        for lease in list(self.play.proxy.dedicated_pool.leases.values()):
            lease.release()

    # -- what may happen

    def say(self, at: int, requests: list[str]) -> None:
        """A client says something; ``ME`` stands for its name, ``#0`` for the number of the first client."""
        speaker = self.speakers[at]
        if not speaker.ended:
            self.send(speaker, requests)

    def send(self, speaker: Speaker, requests: list[str]) -> None:
        """In one go."""
        said = b""
        for template in requests:
            if speaker.ended:
                break
            line = self.filled(template, speaker.name)
            argv = [word.encode() for word in line.split(" ")]
            if argv[0] == b"MONITOR" and not speaker.multi:
                # A second one is not answered.
                if speaker.monitor:
                    continue
                speaker.monitor = True
            self.notice(line)
            owed = len(speaker.owed)
            speaker.says(argv)
            if argv[:2] == UNBLOCK and (len(speaker.owed) == owed or speaker.multi):
                # Nobody will hear when that is done.
                self.numbered(argv[2]).may_be_unblocked = True
            said += encode_request(argv)
        self.play.client(speaker.name).session.feed(said)
        self.turn()

    def filled(self, line: str, name: str) -> str:
        """The request that a template becomes."""
        for number, other in enumerate(self.speakers):
            line = line.replace(f"#{number}", str(self.play.client(other.name).session.id))
        return line.replace("ME", name)

    def numbered(self, number: bytes) -> Speaker:
        """The client with this number."""
        play = self.play
        return next(one for one in self.speakers if b"%d" % play.client(one.name).session.id == number)

    def notice(self, line: str) -> None:
        """Who may be killed from now on."""
        if line.startswith("CLIENT KILL ID "):
            self.numbered(line.split(" ")[-1].encode()).killed = True

    def may_be_unblocked(self, argv: list[bytes]) -> None:
        """Only who was to be unblocked is; streams of several nodes end each other's waiting."""
        asked = [line[2] for speaker in self.speakers for line in speaker.owed if line[:2] == UNBLOCK]
        meant = [self.numbered(number) for number in asked]
        meant += [one for one in self.speakers if one.to_unblock or one.may_be_unblocked or one.killed]
        is_meant = any(speaker.name.encode() in b" ".join(argv) for speaker in meant)
        assert is_meant or argv[0] in (b"XREAD", b"XREADGROUP", b"WAIT"), f"it was not meant: {argv}"

    def hang_up(self, at: int) -> None:
        """A client goes; what it has sent is still run, with nobody to hear of it."""
        session = self.half_close(at)
        self.play.client(self.speakers[at].name).gone = True
        if session.closing and session.id in self.play.proxy.sessions:
            session.on_disconnect()
            assert session.blocking_executor is None
            self.turn()

    def half_close(self, at: int) -> ClientSession:
        """A client sends nothing more, and hears what it is owed, unless it waits for it."""
        speaker = self.speakers[at]
        session = self.play.client(speaker.name).session
        if session.id in self.play.proxy.sessions:
            speaker.ended = speaker.killed = speaker.may_be_unblocked = True
            cleanup.on_eof(session)
            self.turn()
        return session

    def answer(self, name: str, at: int, count: int = 1) -> None:
        """A node answers some of what it has been asked."""
        for _ in range(count):
            self.servers[name].step(at)
            self.turn()

    def answer_dedicated(self, name: str) -> None:
        """A node reads all that came on dedicated connections, while what came on shared ones waits."""
        server = self.servers[name]
        for one in server.connections[:]:
            while one.conn.dedicated and one.unread and one.blocked is None and one.lives() and not server.silent:
                server.read(one)
                self.turn()

    def serve(self, name: str, at: int, full: bool) -> None:
        """Something comes for one who waits at a node, or its time is over."""
        self.servers[name].serve(at, full)
        self.turn()

    def line(self, name: str) -> None:
        """A node tells those who MONITOR it something."""
        server = self.servers[name]
        server.sweep()
        for one in server.connections:
            if one.monitor:
                server.say(one, b"+line of MONITOR\r\n")
        self.turn()

    def connect(self, count: int = 100) -> None:
        """Some of the connections that are wanted are made, or refused."""
        wanted = [
            conn for conn in self.play.executor.all_connections() if conn.state == CONNECTING and conn.transport is None
        ]
        for conn in wanted[:count]:
            if self.servers[conn.node.name].up:
                self.play.connect(conn)
            elif conn.state == CONNECTING:
                conn.on_connection_lost("connection refused", self.play.executor.now, True)
        self.turn()

    def cut_one(self, name: str, at: int) -> None:
        """One connection of a node dies, shared or not."""
        server = self.servers[name]
        server.sweep()
        if server.connections:
            cut(self.play, server.connections[at % len(server.connections)].conn)
            self.turn()

    def harm(self, name: str, what: str) -> None:
        """A node dies, falls silent, comes back, or is another run."""
        server = self.servers[name]
        server.up = what != "down"
        server.silent = what == "silent"
        if what in ("down", "restart"):
            server.versions.clear()
            self.play.run_ids[name] += "+"
            server.lost()
        self.turn()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        tick(seconds)(self.play)
        self.turn()

    # -- the end of each turn

    def turn(self) -> None:
        """All that is to be done is done; who was told something looks at it."""
        play = self.play
        play.settle()
        for name, sent in play.sent.items():
            for one in sent:
                conn = play.connection(name, one.key)
                self.servers[name].of(conn).unread.append(one.raw)
            sent.clear()
        for speaker in self.speakers:
            me = play.client(speaker.name)
            output, me.received = me.received, b""
            speaker.hear(output)
            for number in speaker.has_unblocked:
                self.numbered(number).to_unblock = True
            speaker.has_unblocked.clear()
            if me.closed and me.session.id in play.proxy.sessions:
                speaker.ended = True
                me.session.on_disconnect()
        self.check()

    def check(self) -> None:
        """What holds at any moment."""
        proxy = self.play.proxy
        for connection_set in self.play.executor.connection_sets:
            dedicated = [conn for conn in self.play.executor.unshared_connections if conn.node is connection_set.node]
            assert connection_set.leased_count == len(dedicated) - len(connection_set.free_dedicated)
        for conn in self.owned():
            assert conn in self.play.executor.unshared_connections or conn.state == DOWN
        assert all(number in proxy.sessions for number in self.play.context.paused_sessions)
        for connection_set in self.play.executor.connection_sets:
            for conn in connection_set.free_dedicated:
                assert conn.push_handler is None
                assert conn.head == len(conn.reply_handlers)
                assert not conn.queue
        for speaker in self.speakers:
            self.check_session(speaker)
        for copy in [copy for group in self.play.pool.groups for copy in group.copies]:
            assert copy.unconfirmed >= 0
        self.check_counts()
        accounts.check(proxy)

    def check_counts(self) -> None:
        """No error is told that was not counted; no request counts twice."""
        counted = self.play.context.error_counts.by_code()
        told = sum([speaker.errors for speaker in self.speakers], Counter())
        assert all(count <= counted.get(code, 0) for code, count in told.items()), (told, counted)
        families = sum([int(one.count) for one in self.play.context.family_counters])
        assert families <= self.play.proxy.commands_processed

    def owned(self) -> list[NodeConnection]:
        """Every dedicated connection that somebody has, or that is kept; none of them twice."""
        found = [
            conn for connection_set in self.play.executor.connection_sets for conn in connection_set.free_dedicated
        ]
        for session in self.play.proxy.sessions.values():
            watched = session.watch
            if isinstance(watched, DedicatedWatch):
                found.append(watched.lease.connection)
            if isinstance(session.monitor, Monitor):
                found += [lease.connection for lease in session.monitor.leases.values()]
            if session.blocking_executor is not None:
                found += [waiting.lease.connection for waiting in session.blocking_executor.blocked]
        assert len({id(conn) for conn in found}) == len(found), found
        return found

    def check_session(self, speaker: Speaker) -> None:
        """Who is stalled waits for something that will come."""
        session = self.play.client(speaker.name).session
        if session.mode not in (READY, CLOSING):
            held = session.mode == PAUSED
            assert held == (session.id in session.context.paused_sessions)
            assert held or 0 <= session.replies.resume_at < session.replies.open_count()
            assert not held or session.suspended_request is not None
        if session.blocking_executor is not None and not session.closing:
            assert session.mode == BLOCKED
            # Who is to be let go is let go in time.
            limit = (
                NO_DEADLINE
                if not session.blocking_executor.unblock_reason
                else self.play.executor.now + session.executor.connection_sets[0].options.timeout
            )
            assert all(waiting.due <= limit for waiting in session.blocking_executor.blocked)
        assert (session.monitor in self.play.proxy.monitors) == (session.monitor is not None)

    # -- the end of all

    def calm(self, done: Callable[[], bool]) -> None:
        """The nodes are well, answer all, and time goes by, until it is done."""
        for server in self.servers.values():
            server.up, server.silent = True, False
        for _ in range(400):
            self.connect()
            for server in self.servers.values():
                while any(one.unread and one.blocked is None for one in server.connections if one.lives()):
                    self.answer(server.name, 0)
                while any(one.blocked is not None for one in server.connections if one.lives()):
                    self.serve(server.name, 0, False)
            # Whoever waits in the proxy itself, for a key of copies, has waited long enough, too.
            self.play.proxy.dedicated_pool.waiting.time_out_waiting(math.inf)
            self.turn()
            if done():
                return
            self.wait(0.05)
        raise AssertionError("it does not come to an end")

    def all_told(self) -> bool:
        """Every client that is still there has been told everything; those that were to go are gone."""
        waiting = any(speaker.owed for speaker in self.speakers if not speaker.killed)
        return not waiting and not any(session.closing for session in self.play.proxy.sessions.values())

    def all_free(self) -> bool:
        """Nobody has anything any more."""
        executor, proxy = self.play.executor, self.play.proxy
        dedicated = {id(conn) for connection_set in executor.connection_sets for conn in connection_set.free_dedicated}
        for session in list(proxy.sessions.values()):
            # What it has sent has been run by now, and its socket is closed.
            if session.closing:
                session.on_disconnect()
                self.turn()
        if proxy.sessions:
            return False
        assert not proxy.monitors
        assert not self.play.context.paused_sessions
        assert not any(group.watches for group in self.play.pool.groups)
        return (
            not any(connection_set.leased_count for connection_set in executor.connection_sets)
            and {id(conn) for conn in executor.unshared_connections} == dedicated
            and not any(group.open_writes for group in self.play.pool.groups)
            and not any(copy.unconfirmed for group in self.play.pool.groups for copy in group.copies)
        )
