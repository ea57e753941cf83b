"""One module per kind: its type, defaults, validation and columns; `registry` lists them."""
