"""Go templates, tables and numbers as Docker's client writes them."""
