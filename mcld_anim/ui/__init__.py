"""`mcld-anim ui`: a page in the browser, over the public API."""
