"""Where moto's server finds the handlers."""

from moto.ec2.urls import url_bases as url_bases

from jarkkit.sandbox.account.ec2.responses import Ec2Response

url_paths = {"{0}/": Ec2Response.dispatch}
