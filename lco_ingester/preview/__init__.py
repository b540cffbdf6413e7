"""What would become of a file, and why: nothing is sent."""
