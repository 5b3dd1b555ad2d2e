"""`pydock-runtime`: the runtime as an OCI runtime command, for dockerd, containerd and podman."""
