"""Real software that tool discovery is measured against, and the tools that a person would want from it."""
