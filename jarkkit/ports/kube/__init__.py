"""The Kubernetes API client: the only package that imports `kubernetes`."""

from jarkkit.model.kubernetes_values import event_time
from jarkkit.ports.kube.client import Kube
from jarkkit.ports.kube.http import Object

__all__ = ["Kube", "Object", "event_time"]
