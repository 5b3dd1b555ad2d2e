/* What JupyterLab loads: the plugins of this extension. */

import { cells } from './cells/plugin';
import { panel } from './panel/plugin';

export default [cells, panel];
