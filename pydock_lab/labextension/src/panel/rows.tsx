/* The lists: a row for each object, with its state, its ports and its buttons. */

import { LabIcon } from '@jupyterlab/ui-components';
import React from 'react';

import { actionIcons } from './icons';
import { Action, ContainerRow, Port, Row } from './wire';

/** What the lists need of the panel around them. */
export interface Hands {
  act(action: Action): void;
  /** Show what a button would run, or nothing any more. */
  preview(command: string | null): void;
  /** The address behind the server's base URL. */
  url(path: string): string;
}

const GLYPHS: { readonly [state: string]: string } = { running: '●', paused: '◐', restarting: '◌', dead: '✕' };

export function Section(props: { title: string; count: number; empty: string; children: React.ReactNode }): React.JSX.Element {
  return (
    <details className="pd-lab-section" open>
      <summary>
        <h3>{props.title}</h3>
        <span className="pd-lab-count">{props.count}</span>
      </summary>
      {props.count ? <ul aria-label={props.title}>{props.children}</ul> : <p className="pd-lab-empty">{props.empty}</p>}
    </details>
  );
}

function Container({ row, hands }: { row: ContainerRow; hands: Hands }): React.JSX.Element {
  return (
    <li className="pd-lab-row" data-state={row.state}>
      <span className="pd-lab-glyph" aria-hidden="true">
        {GLYPHS[row.state] ?? '○'}
      </span>
      <span className="pd-lab-name" title={row.id}>
        {row.name}
      </span>
      <Buttons row={row} hands={hands} />
      <span className="pd-lab-detail">
        <span className="pd-lab-state">{row.detail}</span> · {row.image}
      </span>
      {row.ports.length > 0 && (
        <span className="pd-lab-ports">
          {row.ports.map(port => (
            <PortLink key={port.text} port={port} of={row.name} hands={hands} />
          ))}
        </span>
      )}
    </li>
  );
}

/** Containers without a Compose project, then those of each project under its name. */
export function Containers({ rows, hands }: { rows: readonly ContainerRow[]; hands: Hands }): React.JSX.Element {
  const projects = [...new Set(rows.map(row => row.project))].sort();
  const of = (project: string) => rows.filter(row => row.project === project);
  const lines = (some: readonly ContainerRow[]) => some.map(row => <Container key={row.id} row={row} hands={hands} />);
  return (
    <>
      {projects.map(project =>
        project ? (
          <li key={project} className="pd-lab-project">
            <h4>
              {project} <span className="pd-lab-count">{running(of(project))}</span>
            </h4>
            <ul aria-label={`Project ${project}`}>{lines(of(project))}</ul>
          </li>
        ) : (
          <React.Fragment key="">{lines(of(''))}</React.Fragment>
        )
      )}
    </>
  );
}

function running(rows: readonly ContainerRow[]): string {
  return `${rows.filter(row => row.state === 'running').length} of ${rows.length} running`;
}

export function Thing({ row, hands }: { row: Row; hands: Hands }): React.JSX.Element {
  return (
    <li className="pd-lab-row">
      <span className="pd-lab-name" title={row.actions[0]?.name ?? row.name}>
        {row.name}
      </span>
      <Buttons row={row} hands={hands} />
      <span className="pd-lab-detail">{row.detail}</span>
    </li>
  );
}

function PortLink({ port, of, hands }: { port: Port; of: string; hands: Hands }): React.JSX.Element {
  if (!port.proxy) {
    return <span title={port.published ? 'Published' : 'Not published: for containers on its networks'}>{port.text}</span>;
  }
  return (
    <a href={hands.url(port.proxy)} target="_blank" rel="noopener" title={`Opens port ${port.text} of ${of} through Jupyter`}>
      {port.text}
      <span aria-hidden="true"> ↗</span>
    </a>
  );
}

function Buttons({ row, hands }: { row: Row; hands: Hands }): React.JSX.Element {
  return (
    <span className="pd-lab-actions">
      {row.actions.map(action => (
        // A key without the state: Start takes the place, and the focus, of Stop.
        <IconButton
          key={place(action)}
          icon={actionIcons[action.act]}
          label={`${action.label} ${row.name}`}
          title={`${action.label}: ${action.command}`}
          disabled={!action.enabled}
          onClick={() => hands.act(action)}
          onPreview={on => hands.preview(on ? action.command : null)}
        />
      ))}
    </span>
  );
}

function place(action: Action): string {
  return { start: 'stop', kill: 'remove' }[action.act] ?? action.act;
}

export function IconButton(props: {
  icon: LabIcon;
  label: string;
  title: string;
  disabled?: boolean;
  onClick: () => void;
  onPreview?: (on: boolean) => void;
}): React.JSX.Element {
  return (
    <button
      type="button"
      className="pd-lab-button"
      aria-label={props.label}
      title={props.title}
      disabled={props.disabled}
      onClick={props.onClick}
      onMouseEnter={() => props.onPreview?.(true)}
      onMouseLeave={() => props.onPreview?.(false)}
      onFocus={() => props.onPreview?.(true)}
      onBlur={() => props.onPreview?.(false)}
    >
      <props.icon.react tag="span" width="16px" height="16px" aria-hidden="true" />
    </button>
  );
}
