"""Queries to the account and to this home that several steps share; the pure packages (`quotas`,
`costs`, `durations`, `regions`) evaluate the answers."""
