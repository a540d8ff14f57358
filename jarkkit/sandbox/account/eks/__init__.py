"""Amazon EKS: extensions of moto for add-ons, access entries, Pod Identity, versions, time."""
