"""Amazon EC2: extensions of moto for fleets, quotas, capacity, AMIs, prices, reservations."""
