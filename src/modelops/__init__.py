"""ModelOps: from a scientist's simulation on a laptop to a calibration on a cluster."""

__version__ = "0.1.0"
