"""What a deployment costs: a dated table of prices, a bill for settings, and what was spent."""
