"""Where moto's server finds the handlers: they are moto's own."""

from moto.elb.urls import url_bases as url_bases
from moto.elb.urls import url_paths as url_paths
