"""Programs for the people who work on jarkkit. They are not part of the package."""
