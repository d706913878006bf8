"""Good files of the kinds that go to and fro between npticket and others: one's own data, weights, packed tickets."""

import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npticket import nets
from npticket.datasets import Dataset, own, table
from npticket.datasets.coco import read_coco
from npticket.datasets.image_folder import image_folder
from npticket.datasets.images import images
from npticket.datasets.voc import read_voc
from npticket.export import load_weights, read_compressed, read_ticket, save_weights, write_compressed, write_ticket
from npticket.params import Params
from npticket.prune import dense_masks, prune_layerwise
from npticket.streams import streams
from npticket.tickets import rewind

VOC = """<annotation><filename>a.jpg</filename><size><width>40</width><height>30</height><depth>3</depth></size>
<object><name>RBC</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>25</ymax></bndbox></object>
</annotation>"""
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}], "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [3, 4, 17, 21], "iscrowd": 0}],
}  # fmt: skip


class Reader(NamedTuple):
    """A kind of file: where it lies, what is read from there, and whether something in it tells a change."""

    path: Path
    read: Callable[[], object]
    checked: bool = False


def exchanged(folder: Path) -> dict[str, Reader]:
    """Make a good file of each kind in a folder, and return what reads them, by the kind's name."""
    folder.mkdir()
    return _data(folder) | _images(folder) | _tickets(folder)


def _data(folder: Path) -> dict[str, Reader]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)).round(3), np.arange(20) % 2
    np.savez_compressed(folder / "mine.npz", x=x, y=y)
    rows = [f"{a},{b},{c},k{k}" for (a, b, c), k in zip(x, y, strict=True)]
    (folder / "mine.csv").write_text("\n".join(["a,b,c,kind", *rows, ""]))
    (folder / "one.xml").write_text(VOC)
    (folder / "coco.json").write_text(json.dumps(COCO))
    return {
        "arrays": Reader(folder / "mine.npz", lambda: _numbers(own.arrays(path=str(folder / "mine.npz"))), True),
        "a table": Reader(folder / "mine.csv", lambda: _numbers(table.csv_table(path=str(folder / "mine.csv")))),
        "VOC's XML": Reader(folder / "one.xml", partial(read_voc, folder / "one.xml")),
        "COCO's JSON": Reader(folder / "coco.json", partial(read_coco, folder / "coco.json")),
    }


def _images(folder: Path) -> dict[str, Reader]:
    """One image of several in folders by class, and a photograph of several as ImageNet's, if there is Pillow."""
    if find_spec("PIL") is None:
        return {}
    from PIL import Image

    rng, files = np.random.default_rng(1), [folder / "images" / f"{'ab'[i % 2]}" / f"{i}.png" for i in range(12)]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(path)
    for i in range(8):
        path = folder / "photographs" / ("train", "val")[i % 2] / "ab"[i // 4] / f"{i}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(path)
    seen = partial(images, path=str(folder / "photographs"), size=(6, 5))
    return {
        "an image": Reader(files[3], lambda: _numbers(image_folder(path=str(folder / "images")))),
        "a photograph": Reader(path, lambda: _numbers(seen())),
    }


def _tickets(folder: Path) -> dict[str, Reader]:
    """Files of a trained ticket: its weights, compressed; or its mask and seed; or as others take them."""
    net = nets.lenet_300_100(hidden=(3, 2))
    theta0 = net.init(streams(0, [0], "init"))
    masks = prune_layerwise(theta0.like(abs(theta0.flat)), dense_masks(theta0), dict.fromkeys(theta0.weights, 0.5))
    theta, packed, seed = rewind(theta0, masks), folder / "compressed", folder / "ticket"
    write_compressed(packed, net, theta, masks)
    write_ticket(seed, net, 0, 0, masks)
    found = {
        "compressed": Reader(packed, lambda: _bits(read_compressed(packed, net).theta), True),
        "mask and seed": Reader(seed, lambda: _bits(read_ticket(seed, net).masks), True),
    }
    for to in ("npz", "safetensors") if find_spec("safetensors") else ("npz",):
        path = folder / f"weights.{to}"
        save_weights(path, to, net, theta, masks)
        read = partial(load_weights, path, net)
        found[f"weights, {to}"] = Reader(path, lambda read=read: _bits(*read()), to == "npz")
    return found


def _numbers(data: Dataset) -> list[object]:
    return [(split.inputs.tolist(), split.targets.tolist()) for split in (data.train, data.validation, data.test)]


def _bits(*params: Params) -> list[bytes]:
    return [each.flat.tobytes() for each in params]
