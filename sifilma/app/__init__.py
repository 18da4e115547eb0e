"""The assembled application: factory, blueprints, transition hooks and command groups."""
