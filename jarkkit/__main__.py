"""`python -m jarkkit`: the command line, for the deployment's kubeconfig, which needs a path."""

from jarkkit.cli import main

main()
