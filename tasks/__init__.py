"""The work: a kernel (``tasks.core``), families of kinds beside each other, and what joins them.

Import rules (kept by import-linter, see ``pyproject.toml``)::

    app | workers  >  tasks.dispatch  >  tasks.celery  >  tasks.registry  >  families  >  tasks.core

A family is ``contract.py`` (models and ``SPECS``), ``task.py`` (the Celery task, which only delegates),
``engine.py`` (the work: knows neither Flask, Celery, Redis nor SQL) and, where it has tables, ``store.py``.
"""
