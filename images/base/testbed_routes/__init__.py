"""What routing daemons and the kernel's routes do, as events; and the daemons' start once their node can serve."""
