/* Puts the panel into JupyterLab and connects it to notebooks, terminals and dialogs. */

import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Clipboard, Dialog, ICommandPalette, MainAreaWidget, showDialog } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import { Widget } from '@lumino/widgets';

import { LogWidget } from './logs';
import { Model } from './model';
import { PanelWidget } from './view';
import { Action, Wire } from './wire';
import './panel.css';

const SHOW = 'pydock-lab:show-panel';

/** Ask before something is taken away. */
async function confirmed(action: Action): Promise<boolean> {
  const body = new Widget();
  const text = document.createElement('p');
  const command = document.createElement('code');
  text.textContent = action.warning;
  command.textContent = action.command;
  body.node.append(text, command);
  body.addClass('pd-lab-confirm');
  const answer = await showDialog({
    title: `Remove ${action.noun} ${action.name}?`,
    body,
    defaultButton: 0,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Remove' })]
  });
  return answer.button.accept;
}

class Hub {
  private readonly logs = new Map<string, MainAreaWidget<LogWidget>>();

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly model: Model,
    private readonly notebooks: INotebookTracker | null
  ) {}

  async act(action: Action): Promise<void> {
    if (action.act === 'logs') {
      await this.model.follow(action.command, async () => this.openLogs(action.name));
    } else if (action.act === 'terminal') {
      await this.model.follow(action.command, () => this.openTerminal(action.name));
    } else if (action.warning === null || (await confirmed(action))) {
      await this.model.run(action);
    }
  }

  /** `docker container stop web` as `%container stop web`, in a new cell below the one in use. */
  // A cell with `logs -f` would run as long as the container: there it shows what has been written by now.
  insert(line: string): void {
    const panel = this.notebooks?.currentWidget;
    if (panel) {
      NotebookActions.insertBelow(panel.content);
      panel.content.activeCell?.model.sharedModel.setSource(line.replace(/^docker /, '%').replace(/^(%container logs) -f/, '$1'));
      this.app.shell.activateById(panel.id);
    }
  }

  canInsert(): boolean {
    return Boolean(this.notebooks?.currentWidget);
  }

  private openLogs(name: string): string {
    let widget = this.logs.get(name);
    if (!widget || widget.isDisposed) {
      widget = new MainAreaWidget({ content: new LogWidget(this.model.wire, name) });
      widget.id = `pydock-lab-logs-${name}`;
      this.logs.set(name, widget);
      this.app.shell.add(widget, 'main', { mode: 'split-bottom' });
    }
    this.app.shell.activateById(widget.id);
    return 'In a tab; it follows.';
  }

  private async openTerminal(name: string): Promise<string> {
    const { terminal } = await this.model.wire.post<{ terminal: string }>('terminals', { name });
    const widget: Widget = await this.app.commands.execute('terminal:open', { name: terminal });
    const label = `Shell in ${name}`; // a terminal numbers itself, and does so late
    const keep = (): void => {
      if (widget.title.label !== label) {
        widget.title.label = label;
      }
    };
    widget.title.changed.connect(keep);
    keep();
    return 'In a tab; exit ends it, the container runs on.';
  }
}

export const panel: JupyterFrontEndPlugin<void> = {
  id: 'pydock-lab:panel',
  description: 'A side panel of the engine: containers, images, volumes and networks, and the command each click equals.',
  autoStart: true,
  optional: [INotebookTracker, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const model = new Model(new Wire(app.serviceManager.serverSettings));
    const hub = new Hub(app, model, notebooks);
    const widget = new PanelWidget(model, {
      act: action => void hub.act(action),
      copy: text => Clipboard.copyToSystem(text),
      insert: line => hub.insert(line),
      canInsert: () => hub.canInsert()
    });
    app.shell.add(widget, 'left', { rank: 550 });
    restorer?.add(widget, widget.id);
    app.commands.addCommand(SHOW, {
      label: 'Show Docker Panel',
      caption: 'Containers, images, volumes and networks of the engine',
      execute: () => app.shell.activateById(widget.id)
    });
    palette?.addItem({ command: SHOW, category: 'Docker' });
  }
};
