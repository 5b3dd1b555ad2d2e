/* The panel's own icon: containers on a deck. */

import { deleteIcon, LabIcon, runIcon, stopIcon, terminalIcon, textEditorIcon } from '@jupyterlab/ui-components';

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M3 11h5v5H3zM9.5 11h5v5h-5zM16 11h5v5h-5zM6.2 4.5h5v5h-5zM12.8 4.5h5v5h-5z"/>
    <path d="M2 17.7h20l-1.2 2.8H3.2z"/>
  </g>
</svg>`;

export const panelIcon = new LabIcon({ name: 'pydock-lab:panel', svgstr: SVG });

export const actionIcons: { readonly [act: string]: LabIcon } = {
  start: runIcon,
  unpause: runIcon,
  stop: stopIcon,
  logs: textEditorIcon,
  terminal: terminalIcon,
  remove: deleteIcon,
  kill: deleteIcon
};
