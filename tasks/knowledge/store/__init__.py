"""What is known, as rows of the ledger's database: ``writing``, ``reindexing`` for jobs, ``reading`` for searches."""
