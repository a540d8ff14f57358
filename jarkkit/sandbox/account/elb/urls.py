"""Routes to moto's own handlers."""

from moto.elb.urls import url_bases as url_bases
from moto.elb.urls import url_paths as url_paths
