"""Locust users, the sample log they write, scenarios and manifests."""
