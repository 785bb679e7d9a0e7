"""The seeded simulation: the real reactors over a simulated network, clock, disk and engine."""
