"""The kubelet's part: registers the node, keeps its lease, runs pods and says how they are."""
