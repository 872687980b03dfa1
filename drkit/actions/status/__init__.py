"""`drkit status`: is everything as it must be right now?"""
