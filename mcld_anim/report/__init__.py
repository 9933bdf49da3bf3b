"""What is said of a result: rows per frame, thumbnails, the HTML page."""
