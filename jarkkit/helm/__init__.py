"""The door to Helm: the only package that imports `helm_python`, whose SDK is young and may have to
be replaced one day."""

from jarkkit.helm.client import Helm
from jarkkit.helm.repair import Release

__all__ = ["Helm", "Release"]
