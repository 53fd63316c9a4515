"""Follow-ups: what a job starts when it has ended, as data.

``plans`` what is kept of them · ``templates`` requests that take fields of the job they follow · ``places`` where
pointers can lead, by the models of kinds · ``checks`` what can be told of a template before anything has run.
Their SQL is in ``ledger.follow_ups``; ``tasks.follow_ups`` starts them.
"""
