"""What drkit knows of Harbor: the installation, the tables, the storage tree, the secret key."""
