"""Variable expansion, against what the Dockerfile reference and a POSIX shell say."""

import pytest

from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.errors import DockerfileError

ENV = {
    "x": "value",
    "empty": "",
    "path": "/usr/local/lib/libfoo.so.1",
    "name": "foo-bar-baz",
    "blank": "two words",
    "_u1": "under",
    "1": "one",
    "star": "a*b",
}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("$x", "value"),
        ("${x}", "value"),
        ("a${x}b", "avalueb"),
        ("$xy", ""),
        ("${x}y", "valuey"),
        ("$x-$x", "value-value"),
        ("$", "$"),
        ("a$", "a$"),
        ("$.x", "$.x"),
        ("$_u1", "under"),
        ("$1x", "onex"),
        ("$unset", ""),
        ("$empty", ""),
        (r"\$x", "$x"),
        (r"\${x}", "${x}"),
        (r"\\$x", r"\value"),
        (r"a\b", "ab"),
        ("'$x'", "$x"),
        ('"$x"', "value"),
        ('"\\$x"', "$x"),
        ('"a\\nb"', "a\\nb"),
        ('"a\\"b"', 'a"b'),
        ("'a\"b'", 'a"b'),
        ('"a\'b"', "a'b"),
        ("'a\\'", "a\\"),
        ("${x:-d}", "value"),
        ("${unset:-d}", "d"),
        ("${empty:-d}", "d"),
        ("${empty-d}", ""),
        ("${unset-d}", "d"),
        ("${unset:-$x}", "value"),
        ("${unset:-${empty:-deep}}", "deep"),
        ("${unset:-'a b'}", "a b"),
        ("${x:+alt}", "alt"),
        ("${empty:+alt}", ""),
        ("${empty+alt}", "alt"),
        ("${unset+alt}", ""),
        ("${x:?boom}", "value"),
        ("${path#*/}", "usr/local/lib/libfoo.so.1"),
        ("${path##*/}", "libfoo.so.1"),
        ("${path%.*}", "/usr/local/lib/libfoo.so"),
        ("${path%%.*}", "/usr/local/lib/libfoo"),
        ("${path#nothing}", "/usr/local/lib/libfoo.so.1"),
        ("${name#f?o}", "-bar-baz"),
        ("${name/-/_}", "foo_bar-baz"),
        ("${name//-/_}", "foo_bar_baz"),
        ("${name//ba?/X}", "foo-X-X"),
        ("${name/none/X}", "foo-bar-baz"),
        ("${path//\\//:}", ":usr:local:lib:libfoo.so.1"),
        (r"${star#a\*}", "b"),
        ("${name//o/\\}", None),
        ("${x", None),
        ("${", None),
        ("${}", None),
        ("${:x}", None),
        ("${{x}}", None),
        ("${x!y}", None),
        ("${x:}", None),
        ("${unset:?boom}", None),
        ("${empty:?}", None),
        ("${name/-}", None),
        ("'open", None),
        ('"open', None),
        (r"${x#\a}", None),
    ],
)
def test_expand(word: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(DockerfileError, match="failed to process"):
            Lexer().expand(word, ENV)
    else:
        assert Lexer().expand(word, ENV) == expected


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("${unset:?boom}", 'failed to process "${unset:?boom}": unset: boom'),
        ("${empty:?}", 'failed to process "${empty:?}": empty: is not allowed to be empty'),
        ("${unset?}", 'failed to process "${unset?}": unset: is not allowed to be unset'),
        ("${x!}", 'failed to process "${x!}": unsupported modifier (!) in substitution'),
        ("${x", "failed to process \"${x\": syntax error: missing '}'"),
        ("${}", 'failed to process "${}": syntax error: bad substitution'),
    ],
)
def test_errors_name_the_word_and_the_reason(word: str, message: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        Lexer().expand(word, ENV)
    assert raised.value.message == message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ["a", "b"]),
        ("'a b' c", ["a b", "c"]),
        ("$blank", ["two", "words"]),
        ('"$blank"', ["two words"]),
        (r"a\ b", ["a b"]),
        ("  a  ", ["a"]),
        ("", []),
    ],
)
def test_split_happens_after_expansion(text: str, words: list[str]) -> None:
    assert Lexer().split(text, ENV) == words


def test_backtick_escape_leaves_backslashes_alone() -> None:
    assert Lexer("`").expand(r"c:\dir`$x", ENV) == r"c:\dir$x"


def test_unset_variables_can_stay() -> None:
    lexer = Lexer(keep_unset=True)
    assert lexer.expand("$no ${no} ${no:-d} $x", ENV) == "$no ${no} ${no:-d} value"


def test_used_and_missing_names_are_reported() -> None:
    expansion = Lexer().read("$x ${no:-y} $empty", ENV)
    assert expansion.matched == {"x", "empty"}
    assert expansion.unmatched == {"no"}
