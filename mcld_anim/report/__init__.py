"""The report on a result: rows per frame, thumbnails, the HTML page."""
