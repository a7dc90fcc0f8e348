"""A stand-in for `pulumi-resource-kubernetes`, for where the real plugin can't be had.

It runs behind the real engine and the real `pulumi_kubernetes` against a real API server, and is
used by tests only. README.md says what it covers.
"""
