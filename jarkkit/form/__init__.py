"""The settings as a form.

What is shown, and what a change entails, is worked out by plain functions over values (`fields`,
`sections`, `addons`, `accelerators`, `regions`, `outlook`); `draft` holds what stands in the form;
`static` writes all of it as HTML and text. Only `widgets`, `panes` and `page` know ipywidgets.
"""

from jarkkit.form.form import Form

__all__ = ["Form"]
