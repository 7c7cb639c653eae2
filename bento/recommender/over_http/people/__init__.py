"""Routes about people: accounts, events, tastes, what is known of a person, and erasing it."""
