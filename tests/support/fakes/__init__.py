"""Hand-written fakes of the ports, which a test passes to a `Deployment`."""
