"""The deployment's steps. Each takes values and ports, and returns a value or yields events.

Steps do not import each other; code that two of them share is in a lower layer.
"""
