"""What stands behind the person: the matte that cuts the person out, and the pictures that go behind it."""
