"""Whether the configuration backs up what harbor.yml names: its databases, its images, its files."""
