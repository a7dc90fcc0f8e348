"""The provider `kubernetes`: an existing cluster, one namespace for each environment."""
