"""Amazon EFS: what the pretend account has beyond moto."""
