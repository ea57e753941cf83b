"""What the agents in the containers share of the Kubernetes API: sessions, lists and watches (their images have aiohttp)."""
