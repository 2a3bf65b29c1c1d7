"""Floor 4: a model behind an OpenAI-compatible interface, and a chat page."""
