"""The whole runner as a command, behind real web servers."""
