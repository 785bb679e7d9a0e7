"""Hostile bytes for every parser that a stranger reaches."""
