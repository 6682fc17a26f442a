"""What the end-to-end tests share: a real awod, its clients, and stand-ins for the services around it."""
