"""Elastic Load Balancing, classic: extensions of moto."""
