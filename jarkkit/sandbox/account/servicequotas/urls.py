"""Routes to the handlers, for moto's server."""

from moto.servicequotas.urls import url_bases as url_bases

from jarkkit.sandbox.account.servicequotas.responses import QuotasResponse

url_paths = {"{0}/$": QuotasResponse.dispatch}
