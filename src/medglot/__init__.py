"""medglot: build, train, measure and serve multilingual medical language models."""

__version__ = "0.1.0"
