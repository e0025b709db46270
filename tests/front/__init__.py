"""What the web servers see."""
