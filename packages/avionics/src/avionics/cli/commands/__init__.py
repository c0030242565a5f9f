"""The commands by subject: their options and help. What they do is in modules that are loaded when it is asked for."""
