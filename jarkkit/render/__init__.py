"""Values as HTML and pictures, and the redaction of what leaves the machine."""
