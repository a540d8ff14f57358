"""Routes to the handlers, for moto's server."""

from moto.budgets.urls import url_bases as url_bases

from jarkkit.sandbox.account.budgets.responses import BudgetsWithTagsResponse

url_paths = {"{0}/$": BudgetsWithTagsResponse.dispatch}
