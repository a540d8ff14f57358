"""The cluster layer: installs, checks and removes add-ons, diagnoses their pods and opens their web
UIs. The add-ons themselves are data (`jarkkit/catalog/addons/`)."""
