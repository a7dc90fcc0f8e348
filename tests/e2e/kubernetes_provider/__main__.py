"""What the launcher starts."""

from kubernetes_provider.server import main

main()
