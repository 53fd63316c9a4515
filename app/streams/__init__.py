"""Live events: one hub per web process, and what clients see of it: SSE, WebSocket, long-polls, stream tokens.

``hub`` (with ``reader``, ``watchlist``, ``feed``) brings events into the process; ``subscription`` (with ``snapshots``,
``cursor``) is one viewer; ``sse`` and ``websocket`` are its two dialects, ``routes`` adds both to an application;
``waiter`` serves long-polls.
"""
