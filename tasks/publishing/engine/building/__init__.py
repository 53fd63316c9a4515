"""Makes a site of its source with a generator, which may run code of strangers: shut in, without a network."""
