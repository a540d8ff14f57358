"""Elastic Load Balancing, version 2: what the pretend account has beyond moto."""
