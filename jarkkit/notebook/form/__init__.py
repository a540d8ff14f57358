"""The settings as a form.

Pure functions over values decide what the form shows and what a change entails (`fields`,
`sections`, `addons`, `accelerators`, `regions`, `settings_summary`). `draft` holds the edited
values. `read_only_view` renders the form as HTML and text. Only `widgets`, `panes` and `page` use
ipywidgets.
"""

from jarkkit.notebook.form.form import Form

__all__ = ["Form"]
