/* The side panel: the engine's objects above, the command that a click equals below. */

import { copyIcon, pasteIcon, ReactWidget } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import React, { useEffect, useReducer, useState } from 'react';

import { panelIcon } from './icons';
import { Command, Model } from './model';
import { Containers, Hands, IconButton, Section, Thing } from './rows';
import { Action, Engine } from './wire';

/** What the panel asks of JupyterLab. */
export interface Around {
  act(action: Action): void;
  copy(text: string): void;
  /** Put a line into a new cell of the notebook in front. */
  insert(line: string): void;
  /** Whether there is one. */
  canInsert(): boolean;
}

export class PanelWidget extends ReactWidget {
  constructor(
    private readonly model: Model,
    private readonly around: Around
  ) {
    super();
    this.id = 'pydock-lab-panel';
    this.title.icon = panelIcon;
    this.title.caption = 'Docker: containers, images, volumes, networks';
    this.addClass('pd-lab-panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Docker');
  }

  protected render(): React.JSX.Element {
    return <Panel model={this.model} around={this.around} />;
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.model.connect();
    }
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.model.connect();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.model.disconnect();
  }
}

function Panel({ model, around }: { model: Model; around: Around }): React.JSX.Element {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const [preview, setPreview] = useState<string | null>(null);
  useEffect(() => {
    model.changed.connect(redraw);
    return () => void model.changed.disconnect(redraw);
  }, [model]);
  const hands: Hands = {
    act: action => {
      setPreview(null); // the button may be another one when it has run
      around.act(action);
    },
    preview: setPreview,
    url: path => model.wire.url(path)
  };
  const { engine, lost } = model;
  return (
    <>
      <header className="pd-lab-header">
        <h2>Docker</h2>
        <span className="pd-lab-engine" title={engine?.engine.address}>
          {lost ? '○ no engine' : engine ? `● ${engine.engine.name}` : '◌ connecting …'}
        </span>
      </header>
      {lost && (
        <div className="pd-lab-lost" role="alert">
          <p>{lost.message}</p>
          {lost.hint && <p>{lost.hint}</p>}
          <button type="button" className="jp-Button jp-mod-styled jp-mod-accept" onClick={() => model.start()}>
            {lost.is_own ? 'Start the engine' : 'Try again'}
          </button>
        </div>
      )}
      <div className="pd-lab-lists">{engine && !lost && <Lists engine={engine} hands={hands} />}</div>
      <CommandLine model={model} preview={preview} around={around} />
      <div className="pd-lab-sr" role="status">
        {model.news}
      </div>
    </>
  );
}

function Lists({ engine, hands }: { engine: Engine; hands: Hands }): React.JSX.Element {
  const { containers, images, volumes, networks } = engine;
  return (
    <>
      <Section title="Containers" count={containers.length} empty="None. In a cell: %container run --rm hello-world">
        <Containers rows={containers} hands={hands} />
      </Section>
      <Section title="Images" count={images.length} empty="None. In a cell: %image pull alpine">
        {images.map(row => (
          <Thing key={row.id} row={row} hands={hands} />
        ))}
      </Section>
      <Section title="Volumes" count={volumes.length} empty="None. In a cell: %volume create data">
        {volumes.map(row => (
          <Thing key={row.id} row={row} hands={hands} />
        ))}
      </Section>
      <Section title="Networks" count={networks.length} empty="None.">
        {networks.map(row => (
          <Thing key={row.id} row={row} hands={hands} />
        ))}
      </Section>
    </>
  );
}

const OUTCOMES: { readonly [state in Command['state']]: string } = { running: '… runs', done: '✓ done', failed: '✗ failed' };

function CommandLine(props: { model: Model; preview: string | null; around: Around }): React.JSX.Element {
  const { model, preview, around } = props;
  const { command } = model;
  // Of what the pointer is at, the command; else of what was clicked last.
  const other = preview !== null && preview !== command?.line;
  const line = preview ?? command?.line;
  return (
    <footer className="pd-lab-command" data-state={other ? 'preview' : command?.state} aria-label="The command of a click">
      {line === undefined ? (
        <p className="pd-lab-empty">Each button is a command: point at one to read it here.</p>
      ) : (
        <div className="pd-lab-line">
          <code>{line}</code>
          <IconButton icon={copyIcon} label="Copy the command" title="Copy" onClick={() => around.copy(line)} />
          <IconButton
            icon={pasteIcon}
            label="Put the command into a new cell"
            title={around.canInsert() ? 'Put into a new cell' : 'Put into a new cell (open a notebook first)'}
            disabled={!around.canInsert()}
            onClick={() => around.insert(line)}
          />
        </div>
      )}
      <div className="pd-lab-outcome" role="status" hidden={other}>
        {command && (
          <>
            <span className="pd-lab-mark">{OUTCOMES[command.state]}</span>
            {command.text && <span className="pd-lab-text">{command.text}</span>}
            {command.hint && <span className="pd-lab-hint">{command.hint}</span>}
          </>
        )}
      </div>
    </footer>
  );
}
