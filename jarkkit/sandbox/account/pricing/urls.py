"""Routes to the handlers, for moto's server."""

from jarkkit.sandbox.account.pricing.responses import PricingResponse

url_bases = [r"https?://api\.pricing\.(.+)\.amazonaws\.com"]
url_paths = {"{0}/$": PricingResponse.dispatch}
