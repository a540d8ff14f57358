"""All resources in an account that belong to a deployment.

It has three uses: cleanup proves that no resource is left, it deletes those that Terraform does not
know, and a deploy imports what an interrupted run created but did not record in the state. Each
kind has one small function in `SCANNERS`; add a function to add a kind. Resources that are being
deleted do not count. `decisions/ownership` says which tags prove the ownership.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from jarkkit.decisions.ownership import DEPLOYMENT_TAG as DEPLOYMENT_TAG
from jarkkit.model.errors import ApiCallError, CredentialsError, Unreachable
from jarkkit.model.port_answers import ResourceInventory
from jarkkit.model.records import OwnedResource
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
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda item: _ask(context, *item), SCANNERS.items()))
    found = tuple(owned for owned_here, _ in answers for owned in owned_here)
    refused = {
        scanner: reason for scanner, (_, reason) in zip(SCANNERS, answers, strict=True) if reason
    }
    return ResourceInventory(
        found,
        scanned=tuple(scanner for scanner in SCANNERS if scanner not in refused),
        inaccessible=tuple(f"{scanner}: {reason}" for scanner, reason in refused.items()),
    )


def _ask(context: ScanContext, scanner: str, ask: Scanner) -> tuple[list[OwnedResource], str]:
    try:
        with translate_errors(scanner):
            found = list(ask(context))
            partial = context.refusal is not None and scanner in OF_CONTROLLERS
            reason = context.refusal.code if context.refusal is not None and partial else ""
            return [owned.model_copy(update={"location": scanner}) for owned in found], reason
    except CredentialsError:
        raise
    except ApiCallError as error:
        if isinstance(error, Unreachable) and scanner.split()[0] not in _NOT_EVERYWHERE:
            raise
        return [], "" if client_error_code(error) in _NOTHING_THERE else error.code
