"""Before a run: a plan file becomes a plan, and a plan and an inventory become a run. Nothing is changed."""
