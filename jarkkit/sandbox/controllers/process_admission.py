"""An admission policy that marks new pods for which this machine has the real program.

KWOK ignores marked pods. A controller would sometimes mark them too late; an admission policy
cannot, and no user can create a pod before the policy is in force.
https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

from jarkkit.model.polling import poll
from jarkkit.sandbox.kubernetes.api import Api, ApiError, NoResponseError, Object

# Programs, each with the part of the first container's image name that selects it.
PROCESS_IMAGES = {
    "karpenter": "karpenter/controller",
    "workflow-controller": "argoproj/workflow-controller",
    "kuberay-operator": "kuberay/operator",
}
PROCESS_ANNOTATION = "sandbox.jarkkit.io/process"
_NAME = "processes.sandbox.jarkkit.io"
_PROBE = "/api/v1/namespaces/default/pods?dryRun=All"
_FORCE_SECONDS = 30.0


def policy_manifests() -> list[Object]:
    """Return the policy and its binding."""
    choice = "''"
    for program, words in PROCESS_IMAGES.items():
        choice = f"object.spec.containers[0].image.contains('{words}') ? '{program}' : {choice}"
    return mutating_policy(
        _NAME,
        {"program": choice},
        "variables.program == ''",
        f"{{'{PROCESS_ANNOTATION}': variables.program}}",
    )


def mutating_policy(
    name: str, variables: dict[str, str], unless: str, annotations: str
) -> list[Object]:
    """Return a policy that sets annotations of new pods, and its binding. Arguments are CEL."""
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
                "variables": [{"name": n, "expression": cel} for n, cel in variables.items()],
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


def wait_until_enforced(api: Api) -> None:
    """Return when the policy marks new pods: the API server reloads policies once a second.

    Raises ApiError.
    """
    (words, *_) = PROCESS_IMAGES.values()
    container = {"name": "probe", "image": words}
    probe = {"metadata": {"name": "probe"}, "spec": {"containers": [container]}}
    for _ in poll(0.1, _FORCE_SECONDS):
        error: ApiError = NoResponseError(f"{_NAME} is not in force")
        try:
            made = api.create(_PROBE, probe)
        except ApiError as not_yet:  # the service account does not exist yet
            error = not_yet
        else:
            if PROCESS_ANNOTATION in made["metadata"].get("annotations", {}):
                return
    raise error
