"""What runs where the simulations run: workers, and the warm children that hold model code.

A worker never imports a bundle's code. It hands each chunk of simulations to a child process over a
socket (`frames`, `messages`); the child (`child`) imports the model once and answers with all
outcomes in one frame (`answers`).
"""
