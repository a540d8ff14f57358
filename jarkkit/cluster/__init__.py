"""The cluster layer: add-ons installed, looked at and removed; what is wrong with their pods; the
pages that they serve. What an add-on is, is data (`jarkkit/addons/`)."""
