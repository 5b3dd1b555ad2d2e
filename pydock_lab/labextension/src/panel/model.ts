/* The engine as the panel knows it, and the command that was run last. */

import { ISignal, Signal } from '@lumino/signaling';

import { Action, ContainerRow, Engine, Lost, Outcome, Refused, Wire } from './wire';

const RETRY_MS = 3000;

/** A command that a click has run, is running, or is about to run. */
export interface Command {
  line: string;
  state: 'running' | 'done' | 'failed';
  /** What it printed, or why it failed. */
  text: string;
  hint: string;
}

export class Model {
  /** The newest document, or null before the first. */
  engine: Engine | null = null;
  /** Why there is no engine, or null where there is one. */
  lost: Lost | null = null;
  command: Command | null = null;
  /** What has just changed, for those who don't see it. */
  news = '';

  private readonly _changed = new Signal<this, void>(this);
  private socket: WebSocket | null = null;
  private retry = 0;

  constructor(readonly wire: Wire) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Follow the engine; starts the user's own if it is down. */
  connect(): void {
    if (this.socket) {
      return;
    }
    const socket = this.wire.socket('engine');
    this.socket = socket;
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    socket.onclose = () => {
      if (this.socket === socket) {
        this.socket = null;
        this.hear({ type: 'lost', message: 'The Jupyter server does not answer.', hint: null, is_own: false });
        this.retry = window.setTimeout(() => this.connect(), RETRY_MS);
      }
    };
  }

  /** Follow it no more. */
  disconnect(): void {
    window.clearTimeout(this.retry);
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }

  /** Start an engine that is down, or try again to reach it. */
  start(): void {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send('start');
    } else {
      this.disconnect();
      this.connect();
    }
  }

  /** Run what an action stands for. */
  async run(action: Action): Promise<void> {
    const { noun, act, name } = action;
    await this.follow(action.command, async () => {
      const { output, notes } = await this.wire.post<Outcome>('actions', { noun, act, name });
      return [output, ...notes].filter(Boolean).join('\n');
    });
  }

  /** Show a command while it runs and what it came to; return whether it worked. */
  async follow(line: string, work: () => Promise<string>): Promise<boolean> {
    const command: Command = { line, state: 'running', text: '', hint: '' };
    this.show(command);
    try {
      command.text = await work();
      command.state = 'done';
    } catch (error) {
      command.state = 'failed';
      command.text = error instanceof Error ? error.message : String(error);
      command.hint = (error instanceof Refused && error.hint) || '';
    }
    if (this.command === command) {
      this.show(command);
    }
    return command.state === 'done';
  }

  private show(command: Command): void {
    this.command = command;
    this._changed.emit();
  }

  private hear(document: Engine | Lost): void {
    if (document.type === 'lost') {
      this.lost = document;
    } else {
      this.news = this.engine && !this.lost ? changes(this.engine.containers, document.containers) : '';
      this.engine = document;
      this.lost = null;
    }
    this._changed.emit();
  }
}

/** In words: "web: exited (0), db: removed". */
function changes(before: ContainerRow[], after: ContainerRow[]): string {
  const was = new Map(before.map(row => [row.id, row.detail]));
  const is = new Set(after.map(row => row.id));
  const told = after.filter(row => was.get(row.id) !== row.detail).map(row => `${row.name}: ${row.detail}`);
  const gone = before.filter(row => !is.has(row.id)).map(row => `${row.name}: removed`);
  return [...told, ...gone].join(', ');
}
