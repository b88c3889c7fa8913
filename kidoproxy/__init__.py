"""kidoproxy looks like one Redis to every client and is many Redis servers behind.

Eight words carry the whole design. A *session* is the conversation with one client; it cuts bytes
into *requests*. The *route* tree turns a request into a *plan*: who is asked, and how the replies
merge. The *executor* sends the parts of a plan on *connections* to the nodes. Each part has a *reply
handler*; the replies go back into their places in the client's *reply queue* and leave in order.
"""

__version__ = "0.1.0"
