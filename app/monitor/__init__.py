"""What goes on in all of Switchyard, live: one reader per web process, any number of viewers.

``job_watch`` and ``fleet_watch`` find out what has changed; ``hub`` has a thread ask them, and ``feed`` keeps what they
told for a while; ``viewer`` is one client's view; ``routes`` tells it as server-sent events. Everything comes from the
ledger but the reports of running jobs, so what Redis loses is not missed here.
"""
