"""Service quotas: which there are, what a deployment needs of them, and whether that fits. Pure."""
