"""fleetos changes the OS of whole cloud server fleets, and never wipes a disk twice."""

__version__ = "0.1.0"
