"""Flows, killed between any two steps: a journal and providers that outlive the engine, a clock of its own."""
