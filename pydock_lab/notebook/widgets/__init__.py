"""The live views, one anywidget each: name.py, name.js, name.css."""
