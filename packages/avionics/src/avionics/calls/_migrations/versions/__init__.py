"""The versions. A new one is a new file, and its number goes into `avionics.calls.database.SCHEMA_VERSION`."""
