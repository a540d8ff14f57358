"""Systems Manager beyond what moto has: the public parameters that name images for EKS nodes."""
