"""`--cache-from`: steps taken from images that somebody else may have built.

An image that was pulled brings no parents along, only its history. A step is in
it where the history so far and the layers so far are the same, and the next
line is what this step would write. Source: moby image/cache/cache.go.
"""

from __future__ import annotations

from pydock_lab.daemon.builder.draft import Draft
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.errors import LabError


class ImageCache:
    """The images that one build may take steps from.

    Args:
        names: References or ids; those that are not here are skipped, as Docker does.
    """

    def __init__(self, store: ImageStore, names: tuple[str, ...]) -> None:
        self._store = store
        self._images: list[Image] = []
        for name in names:
            try:
                self._images.append(store.resolve(name))
            except LabError:
                continue

    def holds(self, image_id: str) -> bool:
        """Whether an image is one of these, or was built on the way to one."""
        for image in self._images:
            current: str = image.id
            while current:
                if current == image_id:
                    return True
                current = self._store.get(current).parent if current in self._store else ""
        return False

    def find(self, draft: Draft, created_by: str) -> Image | None:
        """Return the image of the next step, made from the history of one of the images."""
        done = len(draft.document["history"])
        layers = list(draft.document["rootfs"]["diff_ids"])
        for image in self._images:
            history = image.config.get("history") or []
            diff_ids = image.config["rootfs"]["diff_ids"]
            if len(history) <= done or diff_ids[: len(layers)] != layers:
                continue
            if history[:done] != draft.document["history"] or history[done].get("created_by") != created_by:
                continue
            if len(history) == done + 1:
                return self._store.put(image.raw, parent=draft.parent)
            diff_id = None if history[done].get("empty_layer") else diff_ids[len(layers)]
            created = str(history[done].get("created") or "")
            return self._store.put(draft.committed(created, created_by, diff_id=diff_id), parent=draft.parent)
        return None
