"""Deliberate breaks of the product, at least one for each promise, each of which a quick test must notice: `python -m tests.mutations`."""
