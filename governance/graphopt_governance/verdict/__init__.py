"""May a bundle run?  What the chain proves of it, what this home saw before, and what its policy asks for."""
