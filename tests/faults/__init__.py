"""Every fault of the list, for real."""
