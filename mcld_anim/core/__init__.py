"""What every room stands on: array legends, errors, events, progress, devices, durable files, pictures."""
