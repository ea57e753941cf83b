"""What a cluster hands out: cluster IPs, node ports, pod CIDRs, external addresses."""
