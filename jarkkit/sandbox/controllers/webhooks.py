"""Answers webhooks of simulated pods: allows everything, and warns that nothing was checked.

Formats: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import math
import time

from jarkkit.sandbox.kubernetes.api import Object

_QUIET_SECONDS = 600.0


class WarningLimiter:
    """Limits warnings per webhook and user: kubectl would print one for each object."""

    def __init__(self) -> None:
        self._warned: dict[tuple[str, str], float] = {}

    def warnings_for(self, service: str, user: str) -> list[str]:
        """Return the warnings for this user now; none for Kubernetes' own components."""
        now = time.monotonic()
        if (
            user.startswith("system:")
            or now - self._warned.get((service, user), -math.inf) < _QUIET_SECONDS
        ):
            return []
        self._warned[service, user] = now
        return [f"rehearsal: webhook {service} is simulated and checked nothing"]


def admit(review: Object, warnings: list[str]) -> Object:
    """Return an AdmissionReview that allows the object unchanged."""
    response = {"uid": review["request"]["uid"], "allowed": True}
    if warnings:
        response["warnings"] = warnings
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def convert(review: Object) -> Object:
    """Return a ConversionReview that changes only the objects' apiVersion."""
    request = review["request"]
    version = request["desiredAPIVersion"]
    response = {
        "uid": request["uid"],
        "result": {"status": "Success"},
        "convertedObjects": [{**obj, "apiVersion": version} for obj in request["objects"]],
    }
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
