"""AWS IAM beyond what moto has: what a call needs, whether policies allow it, the simulator, and
service-linked roles."""
