"""The chaos suite: real processes, real kills, and an oracle outside Switchyard. Run ``python -m tests.chaos``.

``trial`` is one run of one scenario; ``house`` starts its processes; ``submitter`` asks for jobs over HTTP and notes
what it was told; ``sink`` is the outside world; ``oracle`` compares what was told, what happened and what the ledger
says; ``scenarios`` holds a module per row of the fault table; ``mutants`` switches a guard off, to see the suite turn
red; ``report`` prints raw counts.
"""
