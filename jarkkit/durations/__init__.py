"""How long things take: published figures for each kind of resource, and what they make of a whole
deployment. Pure."""
