"""Who is told what is wrong: what there is to say is planned, said to each target, and remembered."""
