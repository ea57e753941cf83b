"""One file for each kind of timeline entry: faults and rescales. Told from here through the world's seam, never with docker."""
