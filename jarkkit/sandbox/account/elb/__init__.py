"""Elastic Load Balancing, classic: what the pretend account has beyond moto."""
