"""The command `mops`: one module a command group, each loaded when its command runs."""
