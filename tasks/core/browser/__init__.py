"""A warm Chromium for jobs, behind the egress guard.

One browser per worker child, launched for the first job that wants one and kept for the next (``warm``); a fresh
context per job (``visits``); every connection through our own proxy, with the rest of Chromium's ways out closed
(``flags``); replaced by count, by memory and after a crash, and killed with its process group when it does not close
(``chromium``). Engines get ``JobBrowser`` (``door``) as ``job.browser``. Only workers load this package: Playwright is
none of the front door's business.
"""

from tasks.core.browser.door import JobBrowser
from tasks.core.browser.options import BrowserOptions, VisitOptions, options_from
from tasks.core.browser.visits import Visit
from tasks.core.browser.warm import WarmBrowser

__all__ = ["BrowserOptions", "JobBrowser", "Visit", "VisitOptions", "WarmBrowser", "options_from"]
