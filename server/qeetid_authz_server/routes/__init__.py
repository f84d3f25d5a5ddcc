"""The routes, a family a module: read the question, ask the engine, write the answer."""
