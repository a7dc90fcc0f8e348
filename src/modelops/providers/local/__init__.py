"""The local provider: everything on this machine, without a cloud account and without Docker."""
