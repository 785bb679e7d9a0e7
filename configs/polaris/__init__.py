"""Polaris at the ALCF: PBS Pro, nodes of 4 A100 and 32 cores (64 hardware threads)."""
