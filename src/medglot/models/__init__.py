"""Floor 3: what a model is: its weights, its tokenizer, how it is talked to, and the backends that run it."""
