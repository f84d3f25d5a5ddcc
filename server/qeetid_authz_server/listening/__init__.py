"""Where connections come in, and how they are encrypted."""
