"""What the ingester would do with a file, and why. Nothing is sent."""
