"""Text and documents about a run, for people and programs.

Knows the model, and neither database nor cloud nor engine: a view shows facts that its caller gives it.

Order of the parts: terminal, observer > view > documents > text. Start with `view.py`.
"""
