"""Pods whose program is on this machine are marked when they are created, by the API server itself.

KWOK leaves marked pods alone. A mark that a controller made would come too late sometimes; a policy
of admission cannot, and no user's pod can be created before it is in force.
https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

import time

from jarkkit.sandbox.cluster.api import Api, ApiError, Object

# Programs by what the image of a pod's first container has in its name.
PROCESS_IMAGES = {
    "karpenter": "karpenter/controller",
    "workflow-controller": "argoproj/workflow-controller",
    "kuberay-operator": "kuberay/operator",
}
ANNOTATION = "sandbox.jarkkit.io/process"
_NAME = "processes.sandbox.jarkkit.io"
_PROBE = "/api/v1/namespaces/default/pods?dryRun=All"
_FORCE_SECONDS = 30.0


def objects() -> list[Object]:
    """The policy and its binding."""
    choice = "''"
    for program, words in PROCESS_IMAGES.items():
        choice = f"object.spec.containers[0].image.contains('{words}') ? '{program}' : {choice}"
    return policy(
        _NAME,
        {"program": choice},
        "variables.program == ''",
        f"{{'{ANNOTATION}': variables.program}}",
    )


def policy(name: str, variables: dict[str, str], unless: str, annotations: str) -> list[Object]:
    """A policy that sets annotations of new pods, and its binding; the words are CEL."""
    mutation = f"Object{{metadata: Object.metadata{{annotations: {annotations}}}}}"
    created = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    group = "admissionregistration.k8s.io/v1"
    return [
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "matchConstraints": {"resourceRules": [{**created, "operations": ["CREATE"]}]},
                "variables": [{"name": n, "expression": words} for n, words in variables.items()],
                "mutations": [
                    {
                        "patchType": "ApplyConfiguration",
                        "applyConfiguration": {"expression": f"{unless} ? Object{{}} : {mutation}"},
                    }
                ],
            },
        },
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


def wait_in_force(api: Api) -> None:
    """Return when new pods are marked: the API server takes up policies once a second.

    Raises ApiError.
    """
    (words, *_) = PROCESS_IMAGES.values()
    container = {"name": "probe", "image": words}
    probe = {"metadata": {"name": "probe"}, "spec": {"containers": [container]}}
    deadline = time.monotonic() + _FORCE_SECONDS
    while True:
        late = time.monotonic() > deadline
        try:
            made = api.create(_PROBE, probe)
        except ApiError:  # the service account is not there yet
            if late:
                raise
        else:
            if ANNOTATION in made["metadata"].get("annotations", {}):
                return
            if late:
                raise ApiError(0, "NoAnswer", f"{_NAME} is not in force")
        time.sleep(0.1)
