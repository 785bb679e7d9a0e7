"""Programs to read and to run: each says in its docstring what it shows. Installed as `relay_parsl.examples`."""
