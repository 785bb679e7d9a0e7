"""The version, in one place: for the metadata, the command line and `Hello`."""

VERSION = '0.1.0'
