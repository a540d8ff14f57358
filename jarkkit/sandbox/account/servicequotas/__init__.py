"""Service Quotas: extensions of moto for the vCPU quotas of EC2 and applied values by profile."""
