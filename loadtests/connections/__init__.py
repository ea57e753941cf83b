"""Connection classes: how the requests of a class use connections. One file each, one line in registry.py."""
