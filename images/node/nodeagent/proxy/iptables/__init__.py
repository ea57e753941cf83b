"""kube-proxy's rules for iptables: rendered pure, applied by iptables-restore, traced for tests."""
