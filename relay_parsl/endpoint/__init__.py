"""The agent on a cluster: it holds the keys, the journal and the outbox, and joins one relay session to its engines."""
