"""File systems of drkit's own and of others' programs, by Linux's FUSE: mounted, served, unmounted."""
