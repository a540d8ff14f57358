"""Amazon EKS beyond what moto has: add-ons, access entries, Pod Identity, versions, and time."""
