"""Says when this node announces a path's address: the part that a speaker plays beside a routing daemon."""
