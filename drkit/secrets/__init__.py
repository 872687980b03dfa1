"""Certificates and keys: collected, encrypted, compared, put back."""
