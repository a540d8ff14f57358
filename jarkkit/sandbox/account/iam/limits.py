"""The user who rehearses, and whether the policies let a call of that one pass.

moto can enforce policies, too, but it recomputes signatures and trips over those of REST services
such as EKS behind a server. Here the key alone says who calls: on loopback that is enough. Calls
with another key, those of controllers in a cluster, are not the user's and are not judged.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.account.iam.arns import Place
from jarkkit.sandbox.account.iam.needs import needed
from jarkkit.sandbox.account.iam.parameters import parameters
from jarkkit.sandbox.account.iam.policies import Document, Need, check, decide
from jarkkit.sandbox.account.iam.things import Things
from jarkkit.sandbox.calls import Call
from jarkkit.sandbox.faults import Kind

USER = "learner"
_EVERYTHING = "arn:aws:iam::aws:policy/AdministratorAccess"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_CHARACTERS = 6144
MOST_POLICIES = 10


@dataclass
class Limits:
    """What the user may do.

    Args:
        key_id: the user's access key.
        log: where it is noted what calls need, each permission once.
        enforced: False lets every call pass; what it needed is noted all the same.
    """

    key_id: str
    log: IO[str]
    enforced: bool = False
    _noted: set[str] = field(default_factory=set)

    def allow(self, paths: Sequence[Path]) -> None:
        """Let the user do exactly what the policies in these files allow; without any, everything.
        Raises JK-SANDBOX-POLICY."""
        _attach(_read_all(paths))
        self.enforced = bool(paths)

    def refusing(self, call: Call, environ: dict[str, Any]) -> Kind | None:
        """Why the policies do not let the call pass; None when they do."""
        if call.key_id != self.key_id or str(call) == "sts:GetCallerIdentity":
            return None
        try:
            place = Place(call.region, Things(call.region))
            needs = needed(call, parameters(call, environ), place)
        except Exception:  # to sandbox.log; what cannot be judged is judged by its name alone
            traceback.print_exc()
            needs = (Need(str(call)),)
        self._note(needs)
        return self._refusal(call, needs) if self.enforced else None

    def _note(self, needs: Iterable[Need]) -> None:
        for need in needs:
            line = json.dumps([need.action, need.resource, need.context])
            if line not in self._noted:
                self._noted.add(line)
                self.log.write(line + "\n")

    def _refusal(self, call: Call, needs: Iterable[Need]) -> Kind | None:
        iam: Any = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
        arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:user/{USER}"
        documents = [document for _, document in iam.documents_of(arn)]
        who = {"aws:username": (USER,), "aws:PrincipalArn": (arn,)}
        who["aws:PrincipalAccount"] = (DEFAULT_ACCOUNT_ID,)
        for need in needs:
            asked = Need(need.action, need.resource, {**need.context, **who})
            decision = decide(documents, asked).decision
            if decision != "allowed":
                words = _words(arn, need, denied=decision == "explicitDeny")
                return _kind(call, words)
        return None


def _words(arn: str, need: Need, *, denied: bool) -> str:
    """As AWS words it:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
    why = (
        "with an explicit deny in an identity-based policy"
        if denied
        else f"because no identity-based policy allows the {need.action} action"
    )
    where = "" if need.resource == "*" else f" on resource: {need.resource}"
    return f"User: {arn} is not authorized to perform: {need.action}{where} {why}"


def _kind(call: Call, words: str) -> Kind:
    if call.service == "ec2":
        words = f"You are not authorized to perform this operation. {words}"
    code = "AccessDenied" if call.xml else "AccessDeniedException"
    return Kind("the policy does not allow it", code, "UnauthorizedOperation", words, status=403)


# -- the user's policies ---------------------------------------------------------------------------


def _read_all(paths: Sequence[Path]) -> list[tuple[str, Document]]:
    """Policies from files, each with its name. Raises JK-SANDBOX-POLICY."""
    if len(paths) > MOST_POLICIES:
        raise _wrong(f"there are {len(paths)} of them; a user may have {MOST_POLICIES}")
    return [(path.stem, _read(path)) for path in paths]


def _read(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
        document: Document = json.loads(text)
        check(document)
    except (OSError, ValueError) as error:
        raise _wrong(f"{path.name}: {error}") from error
    length = len("".join(text.split()))
    if length > MOST_CHARACTERS:
        raise _wrong(f"{path.name} has {length} characters; AWS takes {MOST_CHARACTERS}")
    return document


def _wrong(what: str) -> JarkkitError:
    return JarkkitError(
        "JK-SANDBOX-POLICY",
        f"The policy for the sandbox's user cannot be used: {what}.",
        "jarkkit permissions NAME --out FOLDER writes policies that can.",
    )


def _attach(policies: Sequence[tuple[str, Document]]) -> None:
    """Give the user exactly these policies; without any, all of the account."""
    iam: Any = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
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
