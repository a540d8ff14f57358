"""What only EKS has, played beside a real control plane by small controllers."""
