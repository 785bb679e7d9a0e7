"""Parsl executors over a relay."""
