"""What the state of a cluster means: readiness, pod failures, health checks, capacity. Pure."""
