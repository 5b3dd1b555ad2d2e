"""Manifests of a project: what becomes what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pydock_lab.client.compose.kubernetes import manifests
from pydock_lab.client.compose.load import Source, load

FILE = """
name: shop
services:
  web_app:
    build: .
    command: flask run
    depends_on: [db]
    environment: {A: b}
    ports: ["8080:5000"]
    volumes: ["./src:/app"]
    healthcheck: {test: curl localhost, interval: 10s}
    deploy: {replicas: 2, resources: {limits: {cpus: '0.5', memory: 64m}}}
    configs: [{source: settings, target: /etc/settings}]
  db: {image: redis, expose: [6379], volumes: ["data:/data", "data:/backup"], secrets: [word]}
volumes: {data: }
configs: {settings: {content: x=1}}
secrets: {word: {environment: WORD}}
"""


def converted(tmp_path: Path) -> tuple[dict[tuple[str, str], Any], str]:
    text = manifests(load(Source(tmp_path, text=FILE, environment={"WORD": "secret"})))
    documents = list(YAML(typ="safe", pure=True).load_all(text))
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}, text


def test_every_part_has_its_kind(tmp_path: Path) -> None:
    found, text = converted(tmp_path)
    assert set(found) == {
        ("ConfigMap", "shop-settings"),
        ("Secret", "shop-word"),
        ("Service", "db"),
        ("StatefulSet", "db"),
        ("Service", "web-app"),
        ("Deployment", "web-app"),
    }
    assert text.startswith("# ") and "push the image shop-web_app" in text


def test_a_deployment(tmp_path: Path) -> None:
    found, _ = converted(tmp_path)
    spec = found["Deployment", "web-app"]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["replicas"] == 2
    assert container["args"] == ["flask", "run"]
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert container["resources"] == {"limits": {"cpu": "500m", "memory": "67108864"}}
    assert container["readinessProbe"]["exec"]["command"] == ["/bin/sh", "-c", "curl localhost"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/app", "/etc/settings"}
    port = found["Service", "web-app"]["spec"]["ports"][0]
    assert (port["port"], port["targetPort"]) == (8080, 5000)


def test_a_stateful_set_claims_its_volume_once(tmp_path: Path) -> None:
    found, _ = converted(tmp_path)
    spec = found["StatefulSet", "db"]["spec"]
    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["shop-data"]
    assert found["Secret", "shop-word"]["data"] == {"word": "c2VjcmV0"}
    assert found["Service", "db"]["spec"]["type"] == "ClusterIP"
