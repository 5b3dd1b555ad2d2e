"""Two laws of the parser: only DockerfileError is ever raised, and printing is the inverse of parsing."""

from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.dockerfile.parser import parse
from pydock_lab.dockerfile.stages import read_program
from pydock_lab.dockerfile.words import ARGUMENT_READERS
from pydock_lab.errors import DockerfileError

FRAGMENTS = (
    *ARGUMENT_READERS,
    *("alpine", "a=b", "--from=x", "--mount=type=bind", "<<EOF", "<<-'EOF'", "EOF", "AS", "CMD", "NONE"),
    *('["a", "b"]', '["a", 1]', "[", "$x", "${x:-y}", "${", '"', "'", "\\", "`", "#", "# escape=`", "# escape=\\"),
    *("\n", "\n", "\n", "\r\n", "\\\n", "`\n", " ", " ", "\t", "\x0b", "\u00a0", "\ufeff", "é", "=", "--", "\0"),
)
DOCKERFILES = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join) | st.lists(
    st.sampled_from(FRAGMENTS), max_size=40
).map(" ".join)


@given(DOCKERFILES | st.text())
def test_only_dockerfile_errors(text: str) -> None:
    try:
        read_program(text)
    except DockerfileError as error:
        assert error.message


@given(st.binary())
def test_only_dockerfile_errors_for_bytes(data: bytes) -> None:
    try:
        read_program(data)
    except DockerfileError as error:
        assert error.message


@given(DOCKERFILES)
def test_printing_and_parsing_again_gives_the_same(text: str) -> None:
    try:
        first = parse(text)
    except DockerfileError:
        return
    assert parse(str(first)) == first


@given(st.text(alphabet="ab${}:-+?#%/\\\"' *`") | st.text(), st.sampled_from("\\`"))
def test_expansion_raises_only_dockerfile_errors(word: str, escape: str) -> None:
    try:
        Lexer(escape).read(word, {"a": "value", "b": ""})
    except DockerfileError as error:
        assert error.message.startswith("failed to process")


@given(st.text())
def test_quoted_words_come_back_whole(word: str) -> None:
    quoted = '"' + "".join(f"\\{char}" if char in '\\"$' else char for char in word) + '"'
    assert Lexer().expand(quoted, {}) == word
