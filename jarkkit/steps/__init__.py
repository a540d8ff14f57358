"""The journey's steps. Each takes values and ports, and returns a value or yields events.

Steps do not import each other; what two of them share lies below them.
"""
