"""A site as Wagtail's tutorial builds it on what `wagtail start` writes: a blog with tags, a contact form, API v2."""
