"""Questions judged from an index, and explained."""
