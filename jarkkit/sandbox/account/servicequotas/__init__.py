"""Service Quotas beyond what moto has: the vCPU quotas of EC2, and applied values by profile."""
