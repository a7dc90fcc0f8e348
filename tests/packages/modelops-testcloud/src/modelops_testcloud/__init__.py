"""A provider for an institute's machine: one shared folder, one Dask scheduler for all."""
