"""Amazon EFS: extensions of moto."""
