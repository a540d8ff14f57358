"""Where moto's server finds the handlers; the operation itself is told apart by the request."""

from moto.eks.urls import url_bases as url_bases

from jarkkit.sandbox.account.eks.responses import EksResponse

response = EksResponse()

url_paths = {
    "{0}/(?P<path>.+)$": response.dispatch,
}
