"""Rules that somebody else writes: a kube-proxy of the user's own. Seen in the kernel, never changed from here."""
