"""Notebooks without a person: papermill executes them one after the other."""
