"""AWS IAM: extensions of moto for policy evaluation, the simulator and service-linked roles."""
