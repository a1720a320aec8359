"""How networks of templates are learnt: optimisers, loops, algorithms."""
