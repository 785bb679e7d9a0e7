"""Frontier at the OLCF: Slurm, nodes of 4 AMD MI250X (8 GCDs, a GPU each) and 64 cores, 56 of them for jobs."""
