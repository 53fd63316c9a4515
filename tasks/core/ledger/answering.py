"""How long an answer of PostgreSQL may take: its machine may be gone, or the way to it.

A connection whose other end vanished without a word stays open for us until TCP gives up, which takes minutes while we
send and hours while we wait. Whoever has asked something on it would wait as long: a web process until its last
connection is used up, a worker's heart until its jobs were taken from it. The server's own limits are of no use then.
"""

# A question that is asked only to see whether the other end is there.
PING_LIMIT_S = 5.0
# What a transaction of ours waits for at the most is a lock; each of its statements is short.
WRITE_LIMIT_S = 12.0
# A little longer than the server lets a statement run.
READ_LIMIT_S = 35.0

# So that a machine that is gone is noticed before that; seconds, and for ``tcp_user_timeout`` milliseconds (libpq).
KEEP_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}
