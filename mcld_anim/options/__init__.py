"""What users may ask for: frozen dataclasses with units, read from flags, YAML and manifests."""
