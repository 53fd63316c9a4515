"""Where releases are kept and served from; each place makes one of them live in one atomic step."""
