/* Text without a language: what `%%container run -i alpine cat` is given. */

import { StreamParser } from '@codemirror/language';

export const text: StreamParser<object> = {
  name: 'pydock-text',
  startState: () => ({}),
  token(stream) {
    stream.skipToEnd();
    return null;
  }
};
