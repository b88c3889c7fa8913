"""kidoproxy looks like one Redis to every client and is many Redis servers behind.

Seven words carry the whole design. A *session* is the conversation with one client; it cuts bytes
into *requests*. The *route* tree turns a request into a *plan*: who is asked, and how the replies
merge. A *link* is the conversation with one node. The *exchange* hands the parts of a plan to the
links; the *ledger* takes the replies back into their places and lets them out in order.
"""

__version__ = "0.1.0"
