"""Sites and their releases. SQL for the ledger's database.

``tables`` has the tables; ``records`` is what jobs write; ``sites`` is what the front door reads; ``actions`` reads
what the registry of tools has for a site.
"""
