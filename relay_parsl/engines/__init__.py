"""What runs tasks: Parsl's HTEX in a process of its own, or threads and processes of a laptop, behind one protocol."""
