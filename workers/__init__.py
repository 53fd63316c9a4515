"""Processes, not work: what surrounds a Celery worker, the dispatcher, and the supervisor that starts them.

``lifecycle`` makes any ``celery -A tasks worker`` a full citizen · ``beat`` its heart · ``profiles`` what each queue
asks of a worker · ``preflight`` what this machine offers · ``refusals`` why a worker would not start · ``orphans``
processes nobody owns any more · ``dispatcher`` carries and rescues · ``supervisor`` starts and restarts the others ·
``flower`` the watch.

``local`` runs jobs without Redis: ``local_pool`` its children, ``local_child`` one of them, ``errand`` what they say,
``duties`` the dispatcher's part there · ``identity`` who a worker is · ``judge`` what is done with the ledger alone.
"""
