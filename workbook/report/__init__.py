"""Notebooks -> executed pages with verdicts, and an index of them."""
