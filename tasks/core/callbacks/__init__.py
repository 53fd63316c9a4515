"""Callbacks: tenants are told over HTTP of what becomes of their jobs, as Standard Webhooks describes it.

``records`` what is kept · ``payloads`` what is sent · ``signing`` secrets and signatures · ``patience`` when it is
tried again · ``turns`` whose turn it is · ``posting`` one try · ``sender`` the loop of the process that does all that.
Their SQL is in ``ledger.webhooks``, ``ledger.callbacks`` and ``ledger.deliveries``.
"""
