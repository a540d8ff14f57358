"""A pretend AWS account on loopback: moto's server, extended where Terraform and the kit need more.

The library never imports this package. It reaches the sandbox by its endpoint, like AWS itself.
Of the library the sandbox uses only `jarkkit.errors`.
"""
