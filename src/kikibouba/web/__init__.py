"""The studio: a web page where you draw and hear, play and see, and the JSON API under it.

    browser ─JSON→ app (event loop, no torch) ─pipe→ worker process (models) ─JSON→ browser

What the page can do, Python can do: every call ends in a function of the package.
"""
