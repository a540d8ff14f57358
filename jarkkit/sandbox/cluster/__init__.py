"""What stands behind a pretend EKS cluster: the programs of a real one."""
