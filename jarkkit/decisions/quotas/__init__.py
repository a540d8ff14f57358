"""Service quotas: their codes, what a deployment requires, and whether it fits. Pure."""
