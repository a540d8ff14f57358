"""The checks of what is deployed, which `verify` reports."""
