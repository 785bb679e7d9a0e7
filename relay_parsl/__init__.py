"""relay-parsl: Parsl across sites that a script cannot reach, with no cloud service in between."""
