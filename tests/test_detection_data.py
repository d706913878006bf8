"""Boxes around objects: VOC's XML and COCO's JSON of any content, blood cells, and scenes of digits."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import datasets
from npticket.datasets import DataError, Split, as_targets, left_out, read_coco, read_voc
from npticket.datasets.scenes import extent, resized, scenes
from npticket.experiments import machine

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def voc(*objects, size=(640, 480), before="", name="a.jpg"):
    width, height = size
    found = "".join(OBJECT.format(*each) for each in objects)
    sides = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"{before}<annotation><filename>{name}</filename>{sides}{found}</annotation>"


def test_voc_boxes_are_read_cut_to_the_image_and_skipped_without_an_area(tmp_path):
    (path := tmp_path / "a.xml").write_text(voc(
        ("RBC", 10, 20, 40, 60), ("WBC", -5, 470, 30, 490), ("RBC", 504, 337, 504, 337), ("RBC", 650, 0, 660, 9),
    ))  # fmt: skip
    found = read_voc(path)
    assert (found.file, found.size, found.names, found.skipped) == ("a.jpg", (640, 480), ("RBC", "WBC"), 2)
    assert found.boxes.tolist() == [[10, 20, 30, 40], [0, 470, 30, 10]]
    assert left_out([found, found]) == " (4 boxes without an area left out)"


HOSTILE = '<!DOCTYPE a [<!ENTITY x "{}">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (voc(before='<?xml version="1.0"?>' + HOSTILE.format("ha")), "DTD"),
        (voc(before='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "DTD"),
        (voc(before='<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'), "DTD"),
        (voc(("&x;", 1, 1, 2, 2)), "undefined entity"),
        (voc(name="../a.jpg"), "without a folder"),
        (voc(name=".."), "without a folder"),
        (voc(size=(0, 480)), "1 to 65,536 pixels"),
        (voc(size=("wide", 480)), "wide"),
        (voc(("RBC", 1, 2, "nan", 4)), "four numbers"),
        (voc(("RBC", 1, 2, 3, "")), "could not convert"),
        (voc() + "<more/>", "junk"),
        ("<a>" * 300_000, "no element"),
        (f"<annotation>{'<a>' * 140_000}{'</a>' * 140_000}</annotation>", "expected one <size>"),
        ("<a/>", "expected <annotation>, got <a>"),
        ("", "no element"),
        ("<annotation><filename>a.jpg</filename></annotation>", "expected one <size>"),
        ("x" * (1 << 21), "at most"),
    ],
)
def test_what_is_no_annotation_is_refused_in_a_sentence(tmp_path, text, said):
    (path := tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=said) as error:
        read_voc(path)
    assert str(path) in str(error.value)


def coco(**changes):
    whole = {
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "images": [{"id": 5, "file_name": "b.jpg", "width": 100, "height": 80},
                   {"id": 9, "file_name": "c.jpg", "width": 10, "height": 10}],
        "annotations": [{"image_id": 5, "category_id": 7, "bbox": [90, 70, 20.5, 5]},
                        {"image_id": 5, "category_id": 3, "bbox": [1, 2, 0, 5], "iscrowd": 0},
                        {"image_id": 5, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1}],
    }  # fmt: skip
    return json.dumps(whole | changes)


def test_coco_boxes_are_read_by_image(tmp_path):
    (path := tmp_path / "a.json").write_text(coco())
    (one, other), names = read_coco(path)
    assert names == ["cat", "dog"] and (other.file, other.names) == ("c.jpg", ())
    assert (one.file, one.size, one.names, one.skipped, one.crowds) == ("b.jpg", (100, 80), ("dog",), 1, 1)
    assert one.boxes.tolist() == [[90, 70, 10, 5]]
    assert left_out([one, other]) == " (1 box without an area and 1 crowd left out)" and left_out([other]) == ""
    targets = as_targets([one, other], names, 0.5)
    assert targets.shape == (2, 1, 5) and targets[0].tolist() == [[1, 45, 35, 5, 2.5]] and targets[1, 0, 0] == -1
    with pytest.raises(DataError, match=r"b\.jpg has a 'dog'"):
        as_targets([one], ["cat"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no.*JSON|not COCO"),
        ("[" * 100_000, "RecursionError|recursion"),
        ("[]", "list of objects called categories"),
        (coco(images=3), "called images"),
        (coco(images=[]), "image 5, which is not there"),
        (coco(categories=[]), "category 7"),
        (coco(annotations=[{"image_id": 5, "category_id": 7, "bbox": [1, 2, 3]}]), "four numbers"),
        (
            coco(annotations=[{"image_id": 5, "category_id": 7, "bbox": [1, 2, 3, float("inf")]}]),
            "Infinity is no num",
        ),
        (coco()[:-1] + ', "images": []}', "one is there twice"),
        (coco(annotations=[{"image_id": 5, "category_id": 7, "bbox": [1, 2, 3, 10**400]}]), "four numbers"),
        (coco(annotations=[{"image_id": "5", "category_id": 7, "bbox": [1, 2, 3, 4]}]), "must be an integer"),
        (coco(images=[{"id": 5, "file_name": "/etc/passwd", "width": 1, "height": 1}]), "without a folder"),
        (coco(annotations=[{"image_id": 5, "category_id": True, "bbox": [1, 2, 3, 4]}]), "integer, got True"),
        (coco(annotations=[{"image_id": 5, "category_id": 7, "bbox": [True, 2, 3, 4]}]), "four numbers"),
        (coco(annotations=[{"image_id": 5, "category_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": "0"}]), "must be 0 or 1"),
        (coco(images=[{"id": 5, "file_name": "a", "width": True, "height": 1}]), "pixels wide and high, got True"),
        (coco(images=[{"id": 5, "file_name": "a", "width": 9, "height": 9}] * 2), "two images with the id 5"),
        (coco(categories=[{"id": 7, "name": "dog"}, {"id": 7, "name": "cat"}]), "two categories with the id 7"),
        (coco(images=[{"id": 5, "file_name": "a", "width": 1 << 30, "height": 1}]), "pixels wide"),
    ],
)
def test_what_is_not_cocos_json_is_refused_in_a_sentence(tmp_path, text, said):
    (path := tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=said) as error:
        read_coco(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("read", "good"), [(read_voc, voc(("RBC", 1, 2, 30, 40))), (read_coco, coco())])
def test_damaged_files_are_read_or_refused(read, good, tmp_path):
    """Bytes that were cut out, doubled or replaced: never anything but an answer or a DataError that names the file."""

    @settings(max_examples=80)
    @given(st.data())
    def check(data):
        content = good.encode()
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        middle = data.draw(st.one_of(st.binary(max_size=8), st.just(content[start:end] * 2), st.just(b"")))
        path.write_bytes(content[:start] + middle + content[end:])
        try:
            read(path)
        except DataError as error:
            refused.append(str(path) in str(error))

    path, refused = tmp_path / "damaged", []
    check()
    assert refused and all(refused)


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A folder like BCCD's with four images, which are black but for the cells."""
    pillow = pytest.importorskip("PIL.Image")
    monkeypatch.setitem(datasets.bccd.__globals__, "SPLITS", {"train": 2, "val": 1, "test": 1})
    for name in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (tmp_path / "bccd" / "BCCD" / name).mkdir(parents=True)
    for name, numbers in (("train", "ab"), ("val", "c"), ("test", "d")):
        (tmp_path / "bccd/BCCD/ImageSets/Main" / f"{name}.txt").write_text("\n".join(numbers) + "\n")
        for number in numbers:
            image = np.zeros((480, 640, 3), np.uint8)
            image[40:80, 400:480, 0] = 255
            pillow.fromarray(image).save(file := io.BytesIO(), format="JPEG")
            (tmp_path / f"bccd/BCCD/JPEGImages/{number}.jpg").write_bytes(file.getvalue())
            (tmp_path / f"bccd/BCCD/Annotations/{number}.xml").write_text(voc(("WBC", 400, 40, 480, 80)))
    return tmp_path


def test_blood_cells_are_where_their_boxes_say_mirrored_too(cells):
    data = datasets.bccd(cells)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [8, 1, 1]
    assert data.train.inputs.shape[1:] == (128, 160, 3) and data.classes is None and "not the original" in data.caveat
    boxes = [row[0].tolist() for row in data.train.targets[::2]]
    assert boxes == [[1, 100, 10, 20, 10], [1, 40, 10, 20, 10], [1, 100, 100, 20, 10], [1, 40, 100, 20, 10]]
    for image, ((_, x, y, w, h),) in zip(data.train.inputs, data.train.targets.astype(int), strict=True):
        red = image[..., 0] > 128
        assert red[y : y + h, x : x + w].all() and red.sum() == w * h and not image[120:].any()


def test_cells_without_an_area_are_counted_in_what_is_shown(cells):
    before = datasets.bccd(cells)
    assert before.source == str(cells / "bccd" / "BCCD")
    (cells / "bccd/BCCD/Annotations/a.xml").write_text(voc(("WBC", 400, 40, 480, 80), ("RBC", 504, 337, 504, 337)))
    data = datasets.bccd(cells)
    assert data.source == f"{before.source} (1 box without an area left out)"
    assert machine.sha256(data) == machine.sha256(before)


def test_cells_that_are_missing_or_damaged_are_named(cells):
    with pytest.raises(DataError, match="unpack BCCD there"):
        datasets.bccd(cells / "nowhere")
    root = cells / "bccd" / "BCCD"
    (root / "JPEGImages/a.jpg").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"a\.jpg is no JPEG"):
        datasets.bccd(cells)
    huge = bytearray((root / "JPEGImages/b.jpg").read_bytes())
    at = huge.find(b"\xff\xc0") + 5  # height and width
    huge[at : at + 4] = (60_000).to_bytes(2, "big") * 2
    (root / "JPEGImages/a.jpg").write_bytes(huge)
    with pytest.raises(DataError, match=r"a\.jpg is no JPEG that can be read: .*3600000000 pixels"):
        datasets.bccd(cells)
    (root / "JPEGImages/a.jpg").unlink()
    with pytest.raises(DataError, match=r"a\.jpg"):
        datasets.bccd(cells)
    (root / "ImageSets/Main/train.txt").write_text("../../a\nb\n")
    with pytest.raises(DataError, match="should name 2 images"):
        datasets.bccd(cells)


def test_scenes_hold_their_digits_and_nothing_else():
    digits = Split(np.zeros((3, 28, 28), np.uint8), np.array([4, 7, 9]))
    digits.inputs[:, 4:24, 8:20] = np.array([100, 180, 255])[:, None, None]
    made = scenes(digits, 40, np.random.default_rng(0))
    again = scenes(digits, 40, np.random.default_rng(0))
    assert (made.inputs == again.inputs).all() and (made.targets == again.targets).all()
    counts = (made.targets[..., 0] >= 0).sum(axis=1)
    assert counts.min() >= 1 and counts.max() == 4
    for image, rows in zip(made.inputs[..., 0], made.targets, strict=True):
        rest = image.copy()
        for digit, x, y, w, h in rows[rows[:, 0] >= 0].astype(int):
            inside = image[y : y + h, x : x + w]
            assert inside.max() == {4: 100, 7: 180, 9: 255}[digit] and (inside >= 32).any(axis=1).all()
            assert rest[y : y + h, x : x + w].any(), "no two overlap"
            rest[y : y + h, x : x + w] = 0
        assert not rest.any()


def test_scenes_for_training_are_made_of_training_digits_alone(monkeypatch):
    """Each split's digits have a brightness of their own."""
    splits = [Split(np.full((5, 28, 28), level, np.uint8), np.arange(5)) for level in (60, 120, 240)]
    found = datasets.Dataset("MNIST", *splits, 10, "a test", "not real")
    monkeypatch.setitem(datasets.digit_scenes.__globals__, "mnist", lambda folder, seed: found)
    data = datasets.digit_scenes(counts=(6, 4, 5))
    assert [split.inputs.max() for split in (data.train, data.validation, data.test)] == [60, 120, 240]
    assert [len(split) for split in (data.train, data.validation, data.test)] == [6, 4, 5]
    assert (data.caveat, data.classes, data.train.targets.shape) == ("not real", None, (6, 4, 5))


@pytest.mark.parametrize("counts", [(28, 28), (-1, 3, 3), (3, 0, 3), (3, 3.0, 3), (True, 3, 3), "abc", (10**12, 3, 3)])
def test_counts_of_scenes_are_three_integers(counts):
    with pytest.raises(DataError, match=r"counts are three integers from 1 to 1,000,000, .* got "):
        datasets.digit_scenes(counts=counts)


def test_resizing_keeps_what_is_even_and_where_it_is():
    assert (resized(np.full((28, 28), 77, np.uint8), 40) == 77).all()
    image = np.arange(28, dtype=np.uint8)[None].repeat(28, axis=0) * 8
    assert (resized(image, 28) == image).all()
    assert resized(image, 14)[3].tolist() == (image[0, ::2] + 4).tolist(), "means of two"
    assert extent(image > 100) == (0, 13, 28, 28) and extent(image > 250) == (0, 0, 28, 28)


def test_the_seed_draws_the_scenes_and_chooses_the_digits(monkeypatch):
    digits, asked = Split(np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8), np.arange(9)), []
    found = datasets.Dataset("MNIST", digits, digits, digits, 10, "a test")
    monkeypatch.setitem(datasets.digit_scenes.__globals__, "mnist", lambda folder, seed: asked.append(seed) or found)
    one, again, other = (datasets.digit_scenes(seed=seed, counts=(3, 3, 3)) for seed in (1, 1, 2))
    assert asked == [1, 1, 2] and (one.test.inputs == again.test.inputs).all()
    assert (one.test.inputs != other.test.inputs).any()
