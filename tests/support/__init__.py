"""The rig: live commands, real web servers, raw clients and scratch applications."""
