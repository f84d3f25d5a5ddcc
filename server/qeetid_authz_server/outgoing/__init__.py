"""What goes out: answers, refusals, and the headers that all of them carry."""
