/* How far a new line is indented; CodeMirror's modes for Dockerfiles and YAML don't say. */

import { IndentContext } from '@codemirror/language';

const CONTINUES = /\\\s*$/;

function indentationOf(line: string): number {
  return /^\s*/.exec(line)![0].length;
}

/** The lines above a position, the nearest first; the line itself is among them, cut there, where it is about to break. */
function* above(context: IndentContext, position: number): Generator<string> {
  const { doc } = context.state;
  const line = doc.lineAt(position);
  if (context.simulatedBreak === position) {
    yield line.text.slice(0, position - line.from);
  }
  for (let number = line.number - 1; number >= 1; number--) {
    yield doc.line(number).text;
  }
}

/** Lines that continue an instruction stand to the right of it; the line behind them does not. */
export function indentDockerfile(context: IndentContext, position: number): number {
  const [last = '', before = ''] = above(context, position);
  if (!CONTINUES.test(last)) {
    return 0;
  }
  return CONTINUES.test(before) ? indentationOf(last) : indentationOf(last) + context.unit;
}

/** As far as the line above. */
export function keepIndent(context: IndentContext, position: number): number {
  const [last = ''] = above(context, position);
  return indentationOf(last);
}

/** Behind `key:` and `- key:` a level begins; the keys of a list's item stand to the right of its dash. */
export function indentYaml(context: IndentContext, position: number): number {
  let last = '';
  for (last of above(context, position)) {
    if (last.trim()) {
      break;
    }
  }
  if (last.startsWith('%%')) {
    return 0;
  }
  const dashes = /^\s*(?:- +)+/.exec(last)?.[0].length ?? 0;
  const base = dashes || indentationOf(last);
  if (/:\s*(?:[|>][-+]?\s*)?(?:#.*)?$/.test(last) && !/^\s*#/.test(last)) {
    return base + context.unit;
  }
  const isPair = /^[^\s"'#[{][^#]*?:\s/.test(last.slice(dashes));
  return dashes && !isPair ? indentationOf(last) : base; // `- one` is followed by `- two`
}
