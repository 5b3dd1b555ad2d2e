"""The notebook: magics, rendering and live views. The only room that knows IPython."""
