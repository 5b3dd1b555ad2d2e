/* The documents of pydock_lab/server/handlers.py, and how they are asked for. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

const PREFIX = 'pydock-lab';

/** Something that can be done to an object. */
export interface Action {
  noun: string;
  act: string;
  name: string;
  label: string;
  /** What a learner would type for it. */
  command: string;
  /** What is lost by it, or null where nothing is. */
  warning: string | null;
  /** Whether it can be done now. */
  enabled: boolean;
}

export interface Port {
  text: string;
  /** The path below the server's base URL that leads there, or null. */
  proxy: string | null;
  published: boolean;
}

export interface Row {
  id: string;
  name: string;
  detail: string;
  actions: Action[];
}

export interface ContainerRow extends Row {
  state: string;
  image: string;
  project: string;
  ports: Port[];
}

export interface Engine {
  type: 'engine';
  engine: { address: string; name: string };
  containers: ContainerRow[];
  images: Row[];
  volumes: Row[];
  networks: Row[];
}

export interface Lost {
  type: 'lost';
  message: string;
  hint: string | null;
  /** It is the user's own, which can be started. */
  is_own: boolean;
}

/** What a command came to. */
export interface Outcome {
  output: string;
  notes: string[];
}

/** A command failed: its own words, and what helps. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly hint: string | null
  ) {
    super(message);
  }
}

export class Wire {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** The address of what lies below the server's base URL. */
  url(path: string): string {
    return URLExt.join(this.settings.baseUrl, path);
  }

  /** Ask, and throw Refused where the answer is an error. */
  async post<Answer>(route: string, document: object): Promise<Answer> {
    const request = { method: 'POST', body: JSON.stringify(document) };
    const response = await ServerConnection.makeRequest(this.url(`${PREFIX}/${route}`), request, this.settings);
    const answer = await response.json();
    if (!response.ok) {
      throw new Refused(answer.message || response.statusText, answer.hint ?? null);
    }
    return answer;
  }

  /** Open a websocket. */
  socket(route: string, query: Record<string, string> = {}): WebSocket {
    const { wsUrl, token, appendToken, WebSocket } = this.settings;
    const parameters = new URLSearchParams(query);
    if (appendToken && token) {
      parameters.set('token', token);
    }
    return new WebSocket(`${URLExt.join(wsUrl, PREFIX, route)}?${parameters}`);
  }
}
