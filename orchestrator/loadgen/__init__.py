"""The load of a run, from outside the client: started early, begun at an instant, followed, ended, fetched."""
