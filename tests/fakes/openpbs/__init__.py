"""A small OpenPBS: `qsub`, `qstat`, `qdel` with its words and exit statuses, and jobs that really run.

Its model is OpenPBS 23.06.06 as it was configured for tests/data/pbs: four nodes, ALCF's queues, and a hook with ALCF's texts.
Standard library only: its commands are programs that any Python can start.
"""
