"""Objects, their versions and their history."""
