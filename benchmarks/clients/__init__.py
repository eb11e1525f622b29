"""Other ways to change the OS of a fleet, each as good as an afternoon makes it. None of them imports fleetos."""
