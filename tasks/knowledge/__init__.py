"""Knowledge: documents and crawled pages as something one can search and ask."""
