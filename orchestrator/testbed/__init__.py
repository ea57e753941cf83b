"""The running world of an experiment: networks and containers on a Docker Engine. The only importer of docker."""
