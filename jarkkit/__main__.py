"""`python -m jarkkit`: the command line; the deployment's kubeconfig calls it by path."""

from jarkkit.cli import main

main()
