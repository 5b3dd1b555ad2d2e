/* Command lines among Python: `%container run …`, `web = %docker ps -q`, `!docker images`. CodeMirror reads them as
   Python, where `in` and `is` are keywords and a path is a division; here they are coloured as what they are. */

import { syntaxTree } from '@codemirror/language';
import { EditorState, Extension, Prec, RangeSetBuilder, Text } from '@codemirror/state';
import { Decoration, DecorationSet, EditorView, ViewPlugin, ViewUpdate } from '@codemirror/view';

import { commandTokens } from './magic';
import './lines.css';

const COMMAND =
  /^\s*(?:[\w., ]+=\s*)?(?=%%?(?:builder|check|compose|container|context|docker|image|lab|network|registry|system|volume)\b|!\s*(?:docker|pydock)\b)/;
const MARKS = new Map<string, Decoration>();

function mark(kind: string): Decoration {
  let found = MARKS.get(kind);
  if (!found) {
    found = Decoration.mark({ class: `pd-lab-word pd-lab-is-${kind}` });
    MARKS.set(kind, found);
  }
  return found;
}

/** Where a line's command begins, or -1. */
function commandAt(text: string): number {
  return COMMAND.exec(text)?.[0].length ?? -1;
}

function isInString(state: EditorState, position: number): boolean {
  return /String/.test(syntaxTree(state).resolveInner(position, 1).name);
}

/** The lines and parts of lines that are commands; a backslash at the end goes on on the next line. */
function* commands(document: Text, state: EditorState): Generator<{ from: number; text: string }> {
  let goesOn = false;
  for (let number = 1; number <= document.lines; number++) {
    const { from, text } = document.line(number);
    const at = goesOn ? 0 : commandAt(text);
    if (at >= 0 && (goesOn || !isInString(state, from + at))) {
      yield { from: from + at, text: text.slice(at) };
      goesOn = text.endsWith('\\');
    } else {
      goesOn = false;
    }
  }
}

function decorate(state: EditorState): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  for (const { from, text } of commands(state.doc, state)) {
    for (const token of commandTokens(text)) {
      builder.add(from + token.from, from + token.to, mark(token.kind));
    }
  }
  return builder.finish();
}

/** Colours commands in cells that `isPython` by their first line. */
export function commandLines(isPython: (firstLine: string) => boolean): Extension {
  const marksOf = (state: EditorState): DecorationSet =>
    isPython(state.doc.line(1).text) ? decorate(state) : Decoration.none;
  const plugin = ViewPlugin.fromClass(
    class {
      decorations: DecorationSet;

      constructor(view: EditorView) {
        this.decorations = marksOf(view.state);
      }

      update(update: ViewUpdate): void {
        if (update.docChanged || syntaxTree(update.state) !== syntaxTree(update.startState)) {
          this.decorations = marksOf(update.state);
        }
      }
    },
    { decorations: plugin => plugin.decorations }
  );
  return Prec.highest(plugin); // the inner of nested marks, so that its colours are seen
}
