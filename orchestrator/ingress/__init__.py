"""Ways into the cluster, one file each. A path only plans: its URL, gateway routes and load-balancer frontends."""
