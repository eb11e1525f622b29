"""Answers to the requests of an operator. Pure."""
