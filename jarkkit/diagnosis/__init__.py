"""Why is it broken? From what was seen to findings, causes before symptoms. Pure.

The step `diagnose` asks and hands over what it saw. Each module judges one part of it: `journey`
the deployment's own folder, `account` what AWS says, `nodes`, `pods` and `workloads` what the
cluster says. `findings` sorts: what follows from a cause is told under it.
"""
