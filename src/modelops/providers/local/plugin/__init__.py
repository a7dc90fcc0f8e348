"""Our Pulumi resource provider for this machine: processes and directories."""
