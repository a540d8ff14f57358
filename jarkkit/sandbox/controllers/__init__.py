"""The EKS side of a sandbox cluster: small controllers beside a real control plane."""
