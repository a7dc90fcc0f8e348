"""Providers: what turns a CompiledPlan into the resources of one cloud, or of this machine."""
