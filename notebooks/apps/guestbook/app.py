"""A guest book. Names are kept in public/names.txt, one on each line."""

from pathlib import Path

from flask import Flask, request

app = Flask(__name__)
book = Path("public/names.txt")


@app.get("/")
def read():
    names = book.read_text().splitlines() if book.exists() else []
    return f"{len(names)} in the guest book: {', '.join(names) or 'nobody yet'}\n"


@app.post("/sign")
def sign():
    book.parent.mkdir(exist_ok=True)
    with book.open("a") as pages:
        pages.write(request.form["name"] + "\n")
    return read()
