"""The chain of the four stacks: which, in what order, what each is told by the one before."""
