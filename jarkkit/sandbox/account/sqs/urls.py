"""Routes to moto's own handlers."""

from moto.sqs.urls import url_bases as url_bases
from moto.sqs.urls import url_paths as url_paths
