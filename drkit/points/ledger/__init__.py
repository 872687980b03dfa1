"""What was read and right, and when: a list that lives in the repository, of each pack and each blob."""
