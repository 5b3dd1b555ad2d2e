/* A container's log in a tab of its own: it follows, and keeps the last lines only. */

import { LabIcon, textEditorIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';

import { Wire } from './wire';

const KEPT = 400_000; // characters; some five thousand lines
const CONTROL = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1a\x1c-\x1f]/g;

interface Piece {
  type: 'text' | 'end' | 'error';
  text?: string;
  skipped?: number;
  message?: string;
}

export class LogWidget extends Widget {
  private readonly lines = document.createElement('pre');
  private readonly state = document.createElement('span');
  private readonly again = document.createElement('button');
  private socket: WebSocket | null = null;

  constructor(
    private readonly wire: Wire,
    private readonly container: string
  ) {
    super();
    this.addClass('pd-lab-logs');
    this.title.label = `Logs of ${container}`;
    this.title.icon = textEditorIcon as LabIcon;
    this.title.closable = true;
    this.lines.tabIndex = 0;
    this.lines.setAttribute('role', 'log');
    this.lines.setAttribute('aria-live', 'off'); // a server's log would never stop talking
    this.lines.setAttribute('aria-label', this.title.label);
    this.state.setAttribute('role', 'status');
    this.again.type = 'button';
    this.again.className = 'jp-Button jp-mod-styled jp-mod-reject';
    this.again.textContent = 'Follow again';
    this.again.onclick = () => this.follow();
    const foot = document.createElement('div');
    foot.className = 'pd-lab-logs-foot';
    foot.append(this.state, this.again);
    this.node.append(this.lines, foot);
    this.follow();
  }

  dispose(): void {
    const { socket } = this;
    this.socket = null;
    socket?.close();
    super.dispose();
  }

  protected onActivateRequest(): void {
    this.lines.focus();
  }

  private follow(): void {
    this.lines.textContent = '';
    this.tell('● follows', false);
    const socket = this.wire.socket('logs', { name: this.container });
    this.socket = socket;
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    socket.onclose = () => {
      if (this.socket === socket && this.again.hidden) {
        this.tell('○ not live: the Jupyter server does not answer', true);
      }
    };
  }

  private hear(piece: Piece): void {
    if (piece.type === 'error') {
      this.tell(`✗ ${piece.message}`, true);
      return;
    }
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 24;
    const skipped = piece.skipped ? `\n… ${piece.skipped.toLocaleString()} bytes left out …\n` : '';
    this.lines.append(skipped + (piece.text ?? '').replace(CONTROL, ''));
    this.trim();
    if (atEnd) {
      this.lines.scrollTop = this.lines.scrollHeight;
    }
    if (piece.type === 'end') {
      this.tell('○ ended: the container has stopped', true);
    }
  }

  private trim(): void {
    const { firstChild } = this.lines;
    const length = this.lines.textContent!.length;
    if (firstChild && length > KEPT) {
      const text = this.lines.textContent!.slice(length - KEPT / 2);
      this.lines.textContent = `… earlier lines: docker container logs ${this.container} …\n${text.slice(text.indexOf('\n') + 1)}`;
    }
  }

  private tell(text: string, isOver: boolean): void {
    this.state.textContent = text;
    this.again.hidden = !isOver;
  }
}
