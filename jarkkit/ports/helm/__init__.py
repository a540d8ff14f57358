"""The Helm client: the only package that imports `helm_python`, a young SDK that may need a
replacement one day."""

from jarkkit.model.helm_releases import Release
from jarkkit.ports.helm.client import Helm

__all__ = ["Helm", "Release"]
