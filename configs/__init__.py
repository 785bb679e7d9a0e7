"""Endpoint files for sites: copy one, put your project into it, `relay-parsl endpoint check` it."""
