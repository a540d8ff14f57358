"""Routes to the handlers, for moto's server."""

from moto.ec2.urls import url_bases as url_bases

from jarkkit.sandbox.account.ec2.responses import Ec2Response

url_paths = {"{0}/": Ec2Response.dispatch}
