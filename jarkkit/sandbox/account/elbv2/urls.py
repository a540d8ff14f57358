"""Routes to moto's own handlers."""

from moto.elbv2.urls import url_bases as url_bases
from moto.elbv2.urls import url_paths as url_paths
