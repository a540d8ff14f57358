"""Amazon SQS beyond what moto has: a long poll that does not hold up everybody else."""
