"""Publishing: files in, a release that is live, checked and can be gone back from. See ``docs/publishing.md``."""
