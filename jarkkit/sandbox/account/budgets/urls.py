"""Where moto's server finds the handlers."""

from moto.budgets.urls import url_bases as url_bases

from jarkkit.sandbox.account.budgets.responses import BudgetsWithTagsResponse

url_paths = {"{0}/$": BudgetsWithTagsResponse.dispatch}
