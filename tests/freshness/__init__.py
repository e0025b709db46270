"""What counts as read, and what counts as changed."""
