"""The shape of every kind: one declaration serves decoding, strategic merge, server-side apply and field validation."""
