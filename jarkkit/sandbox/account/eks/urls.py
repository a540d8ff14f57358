"""Routes to the handlers, for moto's server; the request itself determines the operation."""

from moto.eks.urls import url_bases as url_bases

from jarkkit.sandbox.account.eks.responses import EksResponse

response = EksResponse()

url_paths = {
    "{0}/(?P<path>.+)$": response.dispatch,
}
