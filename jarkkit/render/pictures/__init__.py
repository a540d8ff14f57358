"""Pictures of plans, costs, quotas, Regions and clusters: values in, SVG and captions out.

A picture follows the theme of its page, has a visible caption, and says the same in words.
"""

from jarkkit.render.pictures.base import Picture
from jarkkit.render.pictures.changes import plan_map, timeline
from jarkkit.render.pictures.clusters import cluster_map
from jarkkit.render.pictures.costs import cost_split
from jarkkit.render.pictures.quotas import quota_bars
from jarkkit.render.pictures.regions import region_map

__all__ = [
    "Picture",
    "cluster_map",
    "cost_split",
    "plan_map",
    "quota_bars",
    "region_map",
    "timeline",
]
