"""Data: add-ons, example workloads, drills, custom checks, prices, AWS permissions. Adding one is
adding a file or an entry. The modules here only read and validate the files."""
