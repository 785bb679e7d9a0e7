"""Perlmutter at NERSC: Slurm, GPU nodes of 4 A100 and 64 cores, CPU nodes of 128 cores."""
