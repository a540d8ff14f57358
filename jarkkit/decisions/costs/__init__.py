"""Costs of a deployment: a dated price table, a bill for settings, and the costs so far."""
