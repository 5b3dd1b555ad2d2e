/* Cells that begin with %%dockerfile, %%compose, %%container, %%bash or one of the grading magics are read as what they
   are, not as Python; so are command lines in the other cells. */

import { IndentContext, indentService, indentUnit, LanguageSupport, StreamLanguage } from '@codemirror/language';
import { shell } from '@codemirror/legacy-modes/mode/shell';
import { yaml } from '@codemirror/legacy-modes/mode/yaml';
import { Compartment, EditorState, Extension, Prec } from '@codemirror/state';
import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { EditorExtensionRegistry, IEditorExtensionRegistry } from '@jupyterlab/codemirror';

import { dockerfile } from './dockerfile';
import { grading } from './grading';
import { indentDockerfile, indentYaml, keepIndent } from './indent';
import { commandLines } from './lines';
import { behindMagic, magicOf } from './magic';
import { text } from './text';

type Indent = (context: IndentContext, position: number) => number;

function support(language: StreamLanguage<unknown>, indent: Indent, unit: string): Extension {
  // In front of Python's: of several languages, CodeMirror takes the first.
  return Prec.highest([new LanguageSupport(language), indentService.of(indent), indentUnit.of(unit)]);
}

const DOCKERFILE = support(StreamLanguage.define(behindMagic(dockerfile)), indentDockerfile, '    ');
const YAML = support(StreamLanguage.define(behindMagic(yaml)), indentYaml, '  ');
const QUESTIONS = support(StreamLanguage.define(behindMagic(grading)), () => 0, '    ');
const SHELL = support(StreamLanguage.define(behindMagic(shell)), keepIndent, '  ');
const TEXT = support(StreamLanguage.define(behindMagic(text)), keepIndent, '  ');
const NOTHING: Extension = [];

/** What the program in the container reads from the cell. */
function inputOf(firstLine: string): Extension {
  if (/\spython[\d.]*(?:\s+-\S*)*\s*$/.test(firstLine)) {
    return NOTHING;
  }
  return /\s(?:a|ba|da|k|z)?sh(?:\s+-\S*)*\s*$|^%%\w+\s+(?:container\s+)?start\b/.test(firstLine) ? SHELL : TEXT;
}

/** What a cell with this first line needs; the same object for the same language. */
function supportFor(firstLine: string): Extension {
  switch (magicOf(firstLine)) {
    case 'dockerfile':
      return DOCKERFILE;
    case 'compose':
      return YAML;
    case 'container':
    case 'docker':
      return inputOf(firstLine);
    case 'bash':
    case 'sh':
      return SHELL;
    case 'predict':
    case 'reveal':
    case 'check':
      return QUESTIONS;
    case 'writefile':
      return /[\s/]Dockerfile(?:\.\S+)?\s*$/.test(firstLine) ? DOCKERFILE : /\.ya?ml\s*$/.test(firstLine) ? YAML : NOTHING;
    default:
      return NOTHING;
  }
}

/** Switches an editor's language when its first line begins or ceases to be one of the magics. */
function followFirstLine(source: string): Extension {
  const compartment = new Compartment();
  const follow = EditorState.transactionExtender.of(transaction => {
    if (!transaction.docChanged) {
      return null;
    }
    const wanted = supportFor(transaction.newDoc.line(1).text);
    return wanted === compartment.get(transaction.startState) ? null : { effects: compartment.reconfigure(wanted) };
  });
  return [
    Prec.highest(compartment.of(supportFor(source.split('\n', 1)[0]))),
    follow,
    commandLines(firstLine => supportFor(firstLine) === NOTHING)
  ];
}

export const cells: JupyterFrontEndPlugin<void> = {
  id: 'pydock-lab:cells',
  description: 'Colours and indents Dockerfiles, Compose files, command lines and questions to the engine in notebook cells.',
  autoStart: true,
  requires: [IEditorExtensionRegistry],
  activate: (_app: JupyterFrontEnd, registry: IEditorExtensionRegistry): void => {
    registry.addExtension({
      name: 'pydock-lab:cells',
      factory: ({ inline, model }) =>
        inline ? EditorExtensionRegistry.createImmutableExtension(followFirstLine(model.sharedModel.source)) : null
    });
  }
};
