"""Training: documents become tokens, tokens become a model, conversations make it an assistant."""
