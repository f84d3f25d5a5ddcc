"""The index that is current, and questions to it from any thread."""
