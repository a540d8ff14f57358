"""The sandbox's IAM user, and the policies that allow or deny the user's calls.

moto can enforce policies too, but it recomputes signatures and fails on those of REST services such
as EKS behind a server. Here the access key alone identifies the caller, which is enough on
loopback. The user can have more keys, each with policies of its own. Calls with other keys are not
evaluated: those of sessions (ASIA…) come from controllers in a cluster, and those of other users
(AKIA…) must exist.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox.account.iam.arns import CallScope
from jarkkit.sandbox.account.iam.models import IamBackend
from jarkkit.sandbox.account.iam.parameters import parameters
from jarkkit.sandbox.account.iam.policies import Document, RequiredPermission, evaluate, validate
from jarkkit.sandbox.account.iam.required_actions import required_permissions
from jarkkit.sandbox.account.iam.resource_tags import AccountResources
from jarkkit.sandbox.api_calls import Call
from jarkkit.sandbox.faults import UNKNOWN_KEY, FaultKind

USER = "learner"
_EVERYTHING = "arn:aws:iam::aws:policy/AdministratorAccess"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_POLICY_CHARACTERS = 6144
MAX_POLICIES = 10


@dataclass
class PolicyEnforcer:
    """Enforcement of the user's policies.

    Args:
        key_id: the user's first access key, for which the user's policies apply.
        log: the log of the permissions that calls need, each once.
        enforced: False allows every call with the first key; the log still gets the permissions.
    """

    key_id: str
    log: IO[str]
    enforced: bool = False
    _noted: set[str] = field(default_factory=set)

    def set_policies(self, paths: Sequence[Path]) -> None:
        """Allow the user exactly what the policies in these files allow; without any, everything.

        Raises JK-SANDBOX-POLICY.
        """
        _attach(_read_all(paths))
        self.enforced = bool(paths)

    def caller(self, call: Call) -> str:
        """Return who calls: a limited key's holder or the user; empty for a controller."""
        if key := _iam().limited_key(call.key_id):
            return key.holder
        return USER if call.key_id == self.key_id else ""

    def rejection(self, call: Call, environ: dict[str, Any]) -> FaultKind | None:
        """Return why the key or the policies deny the call; None when they allow it."""
        if _is_unknown_user_key(call.key_id):
            return UNKNOWN_KEY
        if str(call) == "sts:GetCallerIdentity" or not self.caller(call):
            return None
        try:
            scope = CallScope(call.region, AccountResources(call.region))
            needs = required_permissions(call, parameters(call, environ), scope)
        except Exception:  # to sandbox.log; then only the call's name is evaluated
            traceback.print_exc()
            needs = (RequiredPermission(str(call)),)
        self._note(needs)
        limited = self.enforced or call.key_id != self.key_id
        return self._refusal(call, needs) if limited else None

    def _note(self, needs: Iterable[RequiredPermission]) -> None:
        for need in needs:
            line = json.dumps([need.action, need.resource, need.context])
            if line not in self._noted:
                self._noted.add(line)
                self.log.write(line + "\n")

    def _refusal(self, call: Call, needs: Iterable[RequiredPermission]) -> FaultKind | None:
        arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:user/{USER}"
        documents = [document for _, document in _iam().documents_of(arn, call.key_id)]
        who = {"aws:username": (USER,), "aws:PrincipalArn": (arn,)}
        who["aws:PrincipalAccount"] = (DEFAULT_ACCOUNT_ID,)
        for need in needs:
            permission = RequiredPermission(need.action, need.resource, {**need.context, **who})
            decision = evaluate(documents, permission).decision
            if decision != "allowed":
                words = _words(arn, need, denied=decision == "explicitDeny")
                return _kind(call, words)
        return None


def _is_unknown_user_key(key_id: str) -> bool:
    """Return True for a user's key that does not exist, such as one of an earlier account.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
    """
    return key_id.startswith("AKIA") and key_id not in _iam().access_keys


def _words(arn: str, need: RequiredPermission, *, denied: bool) -> str:
    """Return AWS' message.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    why = (
        "with an explicit deny in an identity-based policy"
        if denied
        else f"because no identity-based policy allows the {need.action} action"
    )
    where = "" if need.resource == "*" else f" on resource: {need.resource}"
    return f"User: {arn} is not authorized to perform: {need.action}{where} {why}"


def _kind(call: Call, words: str) -> FaultKind:
    if call.service == "ec2":
        words = f"You are not authorized to perform this operation. {words}"
    code = "AccessDenied" if call.xml else "AccessDeniedException"
    return FaultKind(
        "the policy does not allow it", code, "UnauthorizedOperation", words, status=403
    )


# -- the user's policies ---------------------------------------------------------------------------


def limited_key(holder: str, policies: Mapping[str, Document]) -> dict[str, str]:
    """Return the holder's access key, which allows exactly what these policies allow.

    Returns environment variables. Raises JK-SANDBOX-POLICY.

    Args:
        policies: by name.
    """
    for name, document in policies.items():
        _check(name, document)
    _check_number(len(policies))
    key = _iam().limit_key(USER, holder, policies.items())
    return {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
    }


def _read_all(paths: Sequence[Path]) -> list[tuple[str, Document]]:
    """Read policies from files, each with its name. Raises JK-SANDBOX-POLICY."""
    _check_number(len(paths))
    return [(path.stem, _read(path)) for path in paths]


def _read(path: Path) -> Document:
    try:
        document: Document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(f"{path.name}: {error}") from error
    _check(path.name, document)
    return document


def _check_number(policies: int) -> None:
    if policies > MAX_POLICIES:
        raise _wrong(f"there are {policies} policies, but a user can have at most {MAX_POLICIES}")


def _check(name: str, document: Document) -> None:
    try:
        validate(document)
    except ValueError as error:
        raise _wrong(f"{name}: {error}") from error
    length = len("".join(json.dumps(document).split()))
    if length > MAX_POLICY_CHARACTERS:
        raise _wrong(
            f"{name} has {length} characters, but AWS accepts at most {MAX_POLICY_CHARACTERS}"
        )


def _wrong(what: str) -> JarkkitError:
    return JarkkitError(
        "JK-SANDBOX-POLICY",
        f"The policy for the sandbox's user cannot be used: {what}.",
        "To write valid policies, run jarkkit permissions NAME --out FOLDER.",
    )


def _iam() -> IamBackend:
    backend: Any = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    return cast(IamBackend, backend)


def _attach(policies: Sequence[tuple[str, Document]]) -> None:
    """Attach exactly these policies to the user; without any, AdministratorAccess."""
    iam: Any = _iam()
    user = iam.get_user(USER)
    for arn in list(user.managed_policies):
        iam.detach_user_policy(arn, USER)
    for name, document in policies:
        arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:policy/{name}"
        iam.managed_policies.pop(arn, None)
        iam.create_policy("", "/", json.dumps(document), name, [])
        iam.attach_user_policy(arn, USER)
    if not policies:
        iam.attach_user_policy(_EVERYTHING, USER)
