"""Providers for batch systems that believe neither an empty answer nor a failing command; Parsl's serve for everything else."""
