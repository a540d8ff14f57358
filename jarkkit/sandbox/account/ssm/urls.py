"""Routes to moto's own handlers."""

from moto.ssm.urls import url_bases as url_bases
from moto.ssm.urls import url_paths as url_paths
