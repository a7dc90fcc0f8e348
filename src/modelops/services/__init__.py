"""Places where simulations run, each behind `modelops.contracts.SimulationService`."""
