"""What a database can do to an authorizer, and what the authorizer then answers."""
