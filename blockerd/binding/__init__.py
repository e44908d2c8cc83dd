"""Self-binding: every change of what is filtered or recorded goes through `submit`."""
