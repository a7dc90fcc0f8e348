"""What runs where the simulations run: Dask workers and the warm children that hold model code.

A worker process never imports a bundle's code. It hands each task to a child process over pipes
(`frames`, `messages`); the child (`child`) imports the model once and answers with Arrow bytes.
"""
