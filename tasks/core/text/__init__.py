"""Texts compared without a language model: words, what they mean, how alike they are. Knows no family and no table."""
