"""Throwaway servers that a drill restores into; never an address or a path that drkit did not make."""
