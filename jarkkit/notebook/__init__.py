"""What notebooks show and ask: `ui` is what their cells call, `form` is the settings form."""
