"""Amazon EC2 beyond what moto has: fleets, quotas and capacity, images, prices, reservations."""
