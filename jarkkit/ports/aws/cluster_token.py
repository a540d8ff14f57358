"""Bearer tokens for a cluster's API, as `aws eks get-token` creates them, without the aws CLI.

A token is a presigned STS GetCallerIdentity request whose signature covers the cluster's name. No
call is necessary to create it. https://docs.aws.amazon.com/eks/latest/userguide/cluster-auth.html
"""

from __future__ import annotations

import base64
import threading
from datetime import datetime, timedelta
from typing import Any

from jarkkit.model.port_answers import ClusterToken
from jarkkit.ports.aws.session import AwsSession, translate_errors

_HEADER = "x-k8s-aws-id"
_SIGNED = "before-sign.sts.GetCallerIdentity"
_SIGNING = threading.Lock()
_URL_SECONDS = 60
# EKS accepts a token for fifteen minutes; clients refresh it a minute earlier.
_VALID = timedelta(minutes=14)


def cluster_token(session: AwsSession, cluster: str, made: datetime) -> ClusterToken:
    """Return a token. Raises JK-AWS-NO-CREDENTIALS, JK-AWS-EXPIRED."""
    client = session.client("sts")
    add_header = _add_header(cluster)
    # Unregister the handler: it would add its header to the next token too and invalidate it.
    with _SIGNING, translate_errors("a token for the cluster"):
        client.meta.events.register(_SIGNED, add_header)
        try:
            url = client.generate_presigned_url(
                "get_caller_identity", ExpiresIn=_URL_SECONDS, HttpMethod="GET"
            )
        finally:
            client.meta.events.unregister(_SIGNED, add_header)
    token = "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return ClusterToken(token, made + _VALID)


def _add_header(cluster: str) -> Any:
    def add(request: Any, **_: Any) -> None:
        request.headers[_HEADER] = cluster

    return add
