"""Assertions on restored data, and the controls that show that each can fail.

A check is a function that returns a Finding; a control plants a fault in a copy, or in a transaction that is
rolled back, and hands it to the same function, which must find it.
"""
