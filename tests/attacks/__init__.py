"""Every attack of the list, for real."""
