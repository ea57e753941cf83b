"""Pure rendering: data in, the text of a configuration out."""
