"""What the add-on catalog means for a deployment's settings. Pure.

`enabled_addons` selects the enabled add-ons and builds Terraform's variables for them.
`dependency_order` finds what each one must wait for. `node_pools` and `hub_profiles` build the
configuration of Karpenter and JupyterHub. `placement` checks that pods fit on the nodes.
`templating` renders values. `linting` checks catalog files. The data is in
`jarkkit/catalog/addons/`.
"""
