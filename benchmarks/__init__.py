"""Benchmarks: relay-parsl beside Parsl's HighThroughputExecutor, in one run."""
