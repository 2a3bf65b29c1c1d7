"""Sample data written for medglot: passages and exam questions in six languages (Apache-2.0). `make demo` runs on it."""
