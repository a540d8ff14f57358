"""What webhooks of simulated pods answer: everything is allowed, and it is said that nothing was
checked. Formats: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import math
import time

from jarkkit.sandbox.cluster.api import Object

_QUIET_SECONDS = 600.0


class Warnings:
    """Who was told of which webhook: kubectl would print a warning for each object."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}

    def of(self, service: str, user: str) -> list[str]:
        """What to tell this user now. Nobody reads what is told to Kubernetes' own components."""
        now = time.monotonic()
        if (
            user.startswith("system:")
            or now - self._told.get((service, user), -math.inf) < _QUIET_SECONDS
        ):
            return []
        self._told[service, user] = now
        return [f"rehearsal: webhook {service} is simulated and checked nothing"]


def admit(review: Object, warnings: list[str]) -> Object:
    """The AdmissionReview that lets it pass, as it is."""
    response = {"uid": review["request"]["uid"], "allowed": True}
    if warnings:
        response["warnings"] = warnings
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def convert(review: Object) -> Object:
    """The ConversionReview that calls the same object another version, and changes nothing else."""
    request = review["request"]
    version = request["desiredAPIVersion"]
    response = {
        "uid": request["uid"],
        "result": {"status": "Success"},
        "convertedObjects": [{**thing, "apiVersion": version} for thing in request["objects"]],
    }
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
