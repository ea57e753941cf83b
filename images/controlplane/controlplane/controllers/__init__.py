"""Control loops: each brings one kind of object to what the others ask for."""
