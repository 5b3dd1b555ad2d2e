"""The labels by which Compose knows its own.

Source: docker/compose pkg/api/labels.go.
"""

from __future__ import annotations

import json

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONEOFF = "com.docker.compose.oneoff"
HASH = "com.docker.compose.config-hash"
IMAGE = "com.docker.compose.image"
DEPENDS_ON = "com.docker.compose.depends_on"
CONFIG_FILES = "com.docker.compose.project.config_files"
WORKING_DIR = "com.docker.compose.project.working_dir"
REPLACE = "com.docker.compose.replace"
NETWORK = "com.docker.compose.network"
VOLUME = "com.docker.compose.volume"
VERSION = "com.docker.compose.version"

COMPOSE_VERSION = "2.26.1"
"""The version of Compose whose names, labels and hashes these are."""


def of_project(name: str, *more: str) -> str:
    """The API's `filters` for what belongs to a project."""
    return json.dumps({"label": [f"{PROJECT}={name}", *more]})
