"""The Kubernetes provider's ComponentResources, one for each part of an environment."""
