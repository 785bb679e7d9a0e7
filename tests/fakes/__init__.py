"""Programs that stand in for ones that cannot be had on every machine."""
