"""Elastic Load Balancing, version 2: extensions of moto."""
