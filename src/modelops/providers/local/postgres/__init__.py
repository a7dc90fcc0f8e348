"""PostgreSQL on this machine: finding it, its data folder, the user it runs as, starting it."""
