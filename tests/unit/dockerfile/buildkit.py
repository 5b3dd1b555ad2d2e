"""BuildKit's own Dockerfile parser, in a process of its own: its Go runtime brings threads and signal handlers along.

`python buildkit.py` reads one JSON string per line, a Dockerfile, and answers each with a line: its nodes or the error.
Source: asottile/dockerfile, a binding of moby/buildkit frontend/dockerfile/parser.
"""

import json
import sys

import dockerfile


def parse(text: str) -> object:
    try:
        commands = dockerfile.parse_string(text)
    except dockerfile.GoParseError as error:
        return str(error)
    return [
        {
            "keyword": [command.cmd, command.sub_cmd or ""],
            "is_json": command.json,
            "original": command.original,
            "lines": [command.start_line, command.end_line],
            "flags": command.flags,
            "arguments": command.value,
            "heredocs": [[heredoc.name, heredoc.file_descriptor, heredoc.content] for heredoc in command.heredocs],
        }
        for command in commands
    ]


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(parse(json.loads(line))), flush=True)
