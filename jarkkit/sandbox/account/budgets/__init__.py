"""AWS Budgets beyond what moto has: subscribers and tags."""
