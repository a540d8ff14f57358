"""A simulated AWS account on loopback: moto's server, extended for Terraform and jarkkit.

The library reaches the sandbox through its endpoint, like AWS itself, and never imports this
package. Only the command line and the notebooks do, to start, stop and configure the sandbox. Of
the library, the sandbox uses only the errors, the paths and the add-on catalog.
"""
