"""The node: the kubelet's part and kube-proxy's part of a Kubernetes node, in one process."""
