"""`drkit runbook`: what to do at 3 a.m., written down for this site before anybody needs it."""
