"""Systems Manager: extensions of moto for the public parameters with AMI ids for EKS nodes."""
