/* The first line of a cell, `%%dockerfile -t web .`, in front of another language's text. */

import { StreamParser, StringStream } from '@codemirror/language';

const MAGIC = /^%%(\w+)/;

/** The cell magic a text begins with: "dockerfile", or null. */
export function magicOf(firstLine: string): string | null {
  return MAGIC.exec(firstLine)?.[1] ?? null;
}

interface State<Inner> {
  /** Behind the magic's line; before, it is read as a command line. */
  within: boolean;
  inner: Inner;
}

/** Colour one line as a command: its magic, flags, values, strings, `$name` and `{expression}`. */
function commandToken(stream: StringStream): string | null {
  if (stream.eatSpace()) {
    return null;
  }
  if (stream.sol() && stream.match(/^%%?\w+|^!\s*\w+/)) {
    return 'meta';
  }
  if (stream.match(/^"(?:[^\\"]|\\.)*"?|^'[^']*'?/)) {
    return 'string';
  }
  if (stream.match(/^\$\w+|^\{[^}]*\}?/)) {
    return 'variableName.special';
  }
  if (/\s/.test(stream.string.charAt(stream.pos - 1)) && stream.match(/^--?[\w-]+/)) {
    return 'attributeName';
  }
  stream.next();
  stream.match(/^[^\s"'${]+/);
  return null;
}

const KINDS: { readonly [style: string]: string } = {
  'variableName.special': 'variable',
  attributeName: 'flag'
};

/** The words of one command line: where they are, and `meta`, `string`, `variable`, `flag` or `plain`. */
export function* commandTokens(text: string): Generator<{ from: number; to: number; kind: string }> {
  const stream = new StringStream(text, 4, 4);
  while (!stream.eol()) {
    stream.start = stream.pos;
    const style = commandToken(stream);
    yield { from: stream.start, to: stream.pos, kind: style === null ? 'plain' : (KINDS[style] ?? style) };
  }
}

/** A language whose text has a magic as its first line. */
export function behindMagic<Inner>(inner: StreamParser<Inner>): StreamParser<State<Inner>> {
  return {
    ...inner,
    startState: unit => ({ within: false, inner: inner.startState!(unit) }),
    copyState: state => ({
      within: state.within,
      inner: inner.copyState ? inner.copyState(state.inner) : { ...state.inner }
    }),
    token(stream, state) {
      if (state.within || (stream.sol() && !MAGIC.test(stream.string))) {
        state.within = true;
        return inner.token(stream, state.inner);
      }
      const kind = commandToken(stream);
      state.within = stream.eol();
      return kind;
    },
    blankLine(state, unit) {
      state.within = true;
      inner.blankLine?.(state.inner, unit);
    },
    indent: undefined
  };
}
