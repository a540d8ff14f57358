"""AWS Budgets extensions of moto: subscribers and tags."""
