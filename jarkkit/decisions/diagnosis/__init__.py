"""Turns observations into findings, causes before symptoms. Pure.

The step `diagnose` makes the calls and passes the answers. Each module evaluates one part:
`step_history` the deployment's folder, `account` the AWS resources, `nodes`, `pods` and
`addons_and_volumes` the cluster. `findings` groups symptoms under their causes.
"""
