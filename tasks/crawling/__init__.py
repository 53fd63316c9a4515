"""Crawling: a site in, its pages out as JSON Lines. See ``docs/crawling.md``."""
