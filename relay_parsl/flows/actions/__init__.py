"""The actions of flows: each is what an ActionUrl of the hosted service means here."""
