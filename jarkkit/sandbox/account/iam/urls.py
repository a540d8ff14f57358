"""Routes to the handlers, for moto's server."""

from moto.iam.urls import url_bases as url_bases

from jarkkit.sandbox.account.iam.responses import IamResponse

url_paths = {"{0}/$": IamResponse.dispatch}
