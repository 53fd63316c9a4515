"""Discovery: a website in, its functions out as callable tools. See ``docs/discovery.md``."""
