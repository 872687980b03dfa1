"""A registry's bucket: what is in it, how it is captured, and how it comes back."""
