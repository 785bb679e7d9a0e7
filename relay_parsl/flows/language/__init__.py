"""The language of flow definitions: from a document to a `Definition`, every fault at once, and what is legal but dangerous."""
