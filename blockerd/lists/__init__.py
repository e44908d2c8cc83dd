"""Lists: reading them in every format, keeping copies, building the policy snapshot out of them."""
