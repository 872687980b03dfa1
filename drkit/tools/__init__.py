"""One module per outside program or service; none knows drkit's nouns."""
