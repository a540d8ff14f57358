"""The door to a cluster's Kubernetes API: the only package that imports `kubernetes`."""

from jarkkit.kube.client import Kube, happened_at
from jarkkit.kube.http import Object

__all__ = ["Kube", "Object", "happened_at"]
