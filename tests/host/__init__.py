"""What the applications see."""
