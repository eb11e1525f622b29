"""What people and programs read of a run. Knows the model, and neither database nor cloud nor engine."""
