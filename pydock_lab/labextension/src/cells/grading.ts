/* Questions to the engine: a question, a colon and an answer on each line (%%predict, %%reveal), or what should be so
   (%%check). They are sentences, so `in`, `is` and `not` are no keywords here; a `#` begins a hint, as in
   client/grading/check.py. */

import { StreamParser } from '@codemirror/language';

export const grading: StreamParser<object> = {
  name: 'pydock-grading',
  startState: () => ({}),
  token(stream) {
    if (stream.match(stream.sol() ? /^\s*#.*/ : /^\s+# .*/)) {
      return 'comment';
    }
    if (stream.match(/^\$\w+|^\{[^}]*\}?/)) {
      return 'variableName.special';
    }
    if (!stream.match(/^\s(?!# )/)) {
      stream.next();
    }
    stream.match(/^[^\s${]+/);
    return null;
  },
  languageData: { commentTokens: { line: '#' } }
};
