"""Where moto's server finds the handlers."""

from moto.servicequotas.urls import url_bases as url_bases

from jarkkit.sandbox.account.servicequotas.responses import QuotasResponse

url_paths = {"{0}/$": QuotasResponse.dispatch}
