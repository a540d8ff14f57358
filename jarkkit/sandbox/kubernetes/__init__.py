"""The real Kubernetes programs behind a sandbox EKS cluster."""
