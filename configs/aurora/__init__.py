"""Aurora at the ALCF: PBS Pro, nodes of 6 Intel Max 1550 (12 tiles) and 104 cores (208 hardware threads)."""
