"""kube-proxy's part: Services and EndpointSlices become netfilter rules."""
