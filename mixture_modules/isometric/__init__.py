"""The paper's isometric model with tasks (sections 3.1, 3.2 and 4.3)."""
