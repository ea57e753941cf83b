"""What a user reads of a run: each format is one file, rendered from outcome and plan alone. Measures and judges nothing."""
