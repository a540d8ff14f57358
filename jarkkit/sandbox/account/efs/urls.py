"""moto's routes, with our handlers."""

from moto.efs.urls import url_bases as url_bases
from moto.efs.urls import url_paths as moto_paths

from jarkkit.sandbox.account.efs.responses import EfsResponse

url_paths = dict.fromkeys(moto_paths, EfsResponse.dispatch)
