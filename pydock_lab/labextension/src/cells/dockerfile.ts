/* Dockerfiles as BuildKit reads them: parser directives, flags, stages, variables, JSON forms, continued lines and
   here-documents. CodeMirror's own mode knows none of the flags and variables and no here-documents.
   Source: docs.docker.com/reference/dockerfile. */

import { StreamParser, StringStream } from '@codemirror/language';

const INSTRUCTION =
  /^(?:ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)\b/i;
const DIRECTIVE = /^#\s*(?:syntax|escape|check)\s*=/i;
const HEREDOC = /^<<-?(["']?)(\w+)\1/;
const VARIABLE = /^\$(?:\w+|\{[^}]*\}?)/;

interface State {
  /** The instruction whose line this is, in capitals, or "". */
  instruction: string;
  /** Only flags have been read behind it so far. */
  atFlags: boolean;
  /** Only directives have been read so far. */
  atTop: boolean;
  /** Ends of the here-documents that are open or will be on the next line. */
  heredocs: string[];
  /** Inside of a here-document rather than in front of it. */
  inHeredoc: boolean;
  /** The quote a string is waiting for on the next line, or "". */
  quote: string;
}

function startState(): State {
  return { instruction: '', atFlags: false, atTop: true, heredocs: [], inHeredoc: false, quote: '' };
}

/** Read to the closing quote, stopping in front of variables; a string may go on behind a continued line. */
function stringToken(stream: StringStream, state: State): string {
  while (!stream.eol()) {
    if (state.quote === '"' && stream.peek() === '$' && VARIABLE.test(stream.string.slice(stream.pos))) {
      return 'string';
    }
    const character = stream.next();
    if (character === '\\') {
      stream.next();
    } else if (character === state.quote) {
      state.quote = '';
      return 'string';
    }
  }
  return 'string';
}

function argumentToken(stream: StringStream, state: State): string | null {
  if (state.quote && !stream.match(VARIABLE, false)) {
    return stringToken(stream, state);
  }
  if (stream.eatSpace()) {
    return null;
  }
  if (stream.match(VARIABLE)) {
    return 'variableName.special';
  }
  if (stream.match(/^\\$/)) {
    return 'escape';
  }
  if (state.atFlags && stream.match(/^--[\w-]+/)) {
    return 'attributeName';
  }
  const behindSpace = /\s/.test(stream.string.charAt(stream.pos - 1));
  if (state.instruction === 'ONBUILD' || state.instruction === 'HEALTHCHECK') {
    const inner = stream.match(/^(?:NONE\b)|^[A-Z]+\b/i) as RegExpMatchArray | null;
    if (inner) {
      state.instruction = inner[0].toUpperCase();
      return 'keyword';
    }
  }
  if (state.instruction === 'FROM' && behindSpace && stream.match(/^AS(?=\s)/i)) {
    return 'keyword';
  }
  const heredoc = ['RUN', 'COPY', 'ADD'].includes(state.instruction) ? stream.match(HEREDOC) : null;
  if (heredoc) {
    state.heredocs.push((heredoc as RegExpMatchArray)[2]);
    return 'string.special';
  }
  if (stream.peek() === '"' || stream.peek() === "'") {
    state.quote = stream.next() as string;
    return stringToken(stream, state);
  }
  if (behindSpace && state.atFlags && stream.peek() !== '=') {
    state.atFlags = false;
  }
  if (state.instruction === 'EXPOSE' && stream.match(/^\d+/)) {
    return 'number';
  }
  if (/^(?:ENV|ARG|LABEL)$/.test(state.instruction) && behindSpace && stream.match(/^[\w.-]+(?==)/)) {
    return 'propertyName';
  }
  if (stream.match(/^[[\],]|^&&|^\|\|?|^;/)) {
    return 'punctuation';
  }
  stream.next();
  stream.match(/^[^\s"'$\\&|;[\],<=]+/);
  return null;
}

/** The state behind a line's last character. */
function endLine(stream: StringStream, state: State): void {
  if (!stream.eol()) {
    return;
  }
  if (state.heredocs.length && state.instruction) {
    state.inHeredoc = true;
  }
  if (state.inHeredoc || !/\\\s*$/.test(stream.string)) {
    state.instruction = state.quote = '';
  }
}

function heredocToken(stream: StringStream, state: State): string {
  const ends = stream.string.trim() === state.heredocs[0];
  stream.skipToEnd();
  if (ends) {
    state.heredocs.shift();
    state.inHeredoc = state.heredocs.length > 0;
  }
  return ends ? 'string.special' : 'string';
}

function token(stream: StringStream, state: State): string | null {
  if (state.inHeredoc) {
    return heredocToken(stream, state);
  }
  if (stream.sol() && /^\s*#/.test(stream.string)) {
    // Also between the lines of one instruction.
    const kind = state.atTop && DIRECTIVE.test(stream.string) ? 'meta' : 'comment';
    stream.skipToEnd();
    return kind;
  }
  if (!state.instruction) {
    if (stream.eatSpace()) {
      return null;
    }
    state.atTop = false;
    const word = stream.match(INSTRUCTION) as RegExpMatchArray | null;
    if (!word) {
      stream.match(/^\S+/);
      const unknown = stream.start === stream.indentation();
      return unknown ? 'invalid' : null;
    }
    state.instruction = word[0].toUpperCase();
    state.atFlags = true;
    endLine(stream, state);
    return 'keyword';
  }
  const kind = argumentToken(stream, state);
  endLine(stream, state);
  return kind;
}

export const dockerfile: StreamParser<State> = {
  name: 'dockerfile',
  startState,
  copyState: state => ({ ...state, heredocs: [...state.heredocs] }),
  token,
  languageData: { commentTokens: { line: '#' } }
};
