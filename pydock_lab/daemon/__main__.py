"""`python -m pydock_lab.daemon`: what `pydock daemon` runs."""

from pydock_lab.daemon.main import main

raise SystemExit(main())
