"""The networks of MCLD, their construction and loading, and the encoded source."""
