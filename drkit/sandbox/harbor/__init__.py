"""Harbor itself on what a drill restored: its own images, in containers without any network."""
