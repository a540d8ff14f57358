"""Durations: published figures per type of resource, and estimates for a deployment. Pure."""
