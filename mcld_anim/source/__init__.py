"""What one photo gives: UV texture, faces, CLIP pixels, background."""
