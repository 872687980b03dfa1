"""What every registry by distribution has: its storage tree, its links, image manifests."""
