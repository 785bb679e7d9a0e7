"""Tests of the parts of examples."""
