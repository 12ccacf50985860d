"""The command line, `joyful`: one module per command."""
