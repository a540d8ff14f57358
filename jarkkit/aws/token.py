"""The bearer token for a cluster's API, made as `aws eks get-token` makes it, without the aws CLI.

It is a presigned STS GetCallerIdentity request whose signature covers the cluster's name; making
one calls nobody. https://docs.aws.amazon.com/eks/latest/userguide/cluster-auth.html
"""

from __future__ import annotations

import base64
import threading
from datetime import datetime, timedelta
from typing import Any

from jarkkit.aws.session import Session, translated

_HEADER = "x-k8s-aws-id"
_SIGNED = "before-sign.sts.GetCallerIdentity"
_SIGNING = threading.Lock()
_URL_SECONDS = 60
# Accepted for fifteen minutes after it was made; clients ask for another a minute earlier.
_VALID = timedelta(minutes=14)


def cluster_token(session: Session, cluster: str, made: datetime) -> tuple[str, datetime]:
    """The token and until when clients may use it. Raises JK-AWS-NO-CREDENTIALS, JK-AWS-EXPIRED."""
    client = session.client("sts")
    add_header = _add_header(cluster)
    # A handler that stayed would add its header to the next token as well, which spoils it.
    with _SIGNING, translated("a token for the cluster"):
        client.meta.events.register(_SIGNED, add_header)
        try:
            url = client.generate_presigned_url(
                "get_caller_identity", ExpiresIn=_URL_SECONDS, HttpMethod="GET"
            )
        finally:
            client.meta.events.unregister(_SIGNED, add_header)
    token = "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return token, made + _VALID


def _add_header(cluster: str) -> Any:
    def add(request: Any, **_: Any) -> None:
        request.headers[_HEADER] = cluster

    return add
