"""The benchmark: `python -m bench` measures the engine, its index and its loading."""
