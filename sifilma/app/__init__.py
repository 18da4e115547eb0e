"""The application put together: factory, blueprints, transition hooks, command groups."""
