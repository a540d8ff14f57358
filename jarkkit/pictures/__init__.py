"""Pictures for those who would rather look than read: values in, PNG and words out.

Plain matplotlib, no window system. Colours are those of Okabe and Ito: told apart with any colour
vision, and on light and dark pages.
"""

from jarkkit.pictures.base import Picture
from jarkkit.pictures.changes import plan_map, timeline
from jarkkit.pictures.clusters import cluster_map
from jarkkit.pictures.costs import cost_split
from jarkkit.pictures.quotas import quota_bars
from jarkkit.pictures.regions import region_map

__all__ = [
    "Picture",
    "cluster_map",
    "cost_split",
    "plan_map",
    "quota_bars",
    "region_map",
    "timeline",
]
