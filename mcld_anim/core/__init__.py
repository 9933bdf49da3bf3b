"""The basis of every room: array types, errors, events, progress, devices, durable files, pictures."""
