"""The protocol: every word of the wire, and what is sealed in it. No socket, no thread."""
