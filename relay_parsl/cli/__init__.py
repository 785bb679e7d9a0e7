"""The command line: one module a noun, each of which parses, calls and prints. What a command does stands in the rooms below."""
