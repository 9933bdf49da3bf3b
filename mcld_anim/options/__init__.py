"""Options: frozen dataclasses with units, read from flags, YAML and manifests."""
