"""The networks of MCLD, how they are built and loaded, and the encoded source."""
