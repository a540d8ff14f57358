"""The catalogue: what can be installed, as data. Adding an add-on is adding one YAML file.

`catalogue` reads the files, `choice` says which of them a deployment has and what Terraform makes
for them, `pools` and `profiles` are what Karpenter and JupyterHub get from the settings, `words`
fills the values in.
"""
