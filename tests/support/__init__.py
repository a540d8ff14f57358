"""Helpers that the tests of several folders and the benchmarks share."""
