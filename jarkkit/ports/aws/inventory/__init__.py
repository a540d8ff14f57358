"""All resources in an account that belong to a deployment.

It has three uses: cleanup proves that no resource is left, it deletes those that Terraform does not
know, and a deploy imports what an interrupted run created but did not record in the state. Each
kind has one small function in `SCANNERS`; add a function to add a kind. Resources that are being
deleted do not count. `decisions/ownership` says which tags prove the ownership.
"""

from __future__ import annotations

from functools import partial

from jarkkit.decisions.ownership import DEPLOYMENT_TAG as DEPLOYMENT_TAG
from jarkkit.model.errors import ApiCallError, CredentialsError, Unreachable
from jarkkit.model.port_answers import ResourceInventory
from jarkkit.model.records import OwnedResource
from jarkkit.model.unknown import Unknown, known_or_none
from jarkkit.ports.aws.concurrency import gather
from jarkkit.ports.aws.inventory import ec2, load_balancers, services
from jarkkit.ports.aws.inventory.scan_context import ScanContext as ScanContext
from jarkkit.ports.aws.inventory.scan_context import Scanner
from jarkkit.ports.aws.session import AwsSession, client_error_code, translate_errors

_THREADS = 24  # the connection pool size of a client

# In the order of the receipt; the first word is the service.
SCANNERS: dict[str, Scanner] = {
    **services.CLUSTER,
    **ec2.SCANNERS,
    **load_balancers.SCANNERS,
    **services.SCANNERS,
}
# These see only a part while the cluster cannot be read: whose controllers' tags are is not known.
OF_CONTROLLERS = ec2.OF_CONTROLLERS | services.OF_CONTROLLERS | frozenset(load_balancers.SCANNERS)

# Services that some Regions or partitions lack: their endpoint never answers there.
_NOT_EVERYWHERE = ("amp", "budgets", "fsx")
_NOTHING_THERE = {"ResourceNotFoundException", "NotFoundException", "NoSuchBucket", "404"}


def scan(session: AwsSession, name: str, endpoint: str = "") -> ResourceInventory:
    """Run all scanners.

    Args:
        endpoint: of the deployment's cluster, as recorded; empty if there was none.
    """
    context = ScanContext.of(session, name, endpoint)
    calls = {scanner: partial(_ask, context, scanner, ask) for scanner, ask in SCANNERS.items()}
    answers = gather(calls, max_workers=_THREADS)
    refused = {s: code for s, answer in answers.items() if (code := _refusal(context, s, answer))}
    return ResourceInventory(
        tuple(owned for answer in answers.values() for owned in known_or_none(answer) or ()),
        scanned=tuple(scanner for scanner in SCANNERS if scanner not in refused),
        inaccessible=tuple(f"{scanner}: {code}" for scanner, code in refused.items()),
    )


def _ask(context: ScanContext, scanner: str, ask: Scanner) -> tuple[OwnedResource, ...]:
    with translate_errors(scanner):
        return tuple(owned.model_copy(update={"location": scanner}) for owned in ask(context))


def _refusal(context: ScanContext, scanner: str, answer: object) -> str:
    """Return the code of what kept the scanner from seeing everything; empty if nothing did.

    Raises an error that says nothing about the scanner alone.
    """
    if not isinstance(answer, Unknown):
        cluster = context.cluster if scanner in OF_CONTROLLERS else None
        return cluster.reason.code if isinstance(cluster, Unknown) else ""
    error = answer.reason
    is_silent = isinstance(error, Unreachable) and scanner.split()[0] not in _NOT_EVERYWHERE
    if isinstance(error, CredentialsError) or not isinstance(error, ApiCallError) or is_silent:
        raise error
    return "" if client_error_code(error) in _NOTHING_THERE else error.code
