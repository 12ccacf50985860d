"""Pushes to the Hub."""
