"""The operations a launch plan is made of: each can say what it does, and do it."""
