"""Images as ImageNet has them: what files become, what is refused, and that reading them late changes nothing."""

import importlib
import io
import multiprocessing
import os
import pickle
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import traced
from small import SMALL
from strict import strict

from npticket import nets
from npticket.datasets import DataError, Dataset, Lazy, ResizedCrop, Shared, Split, image_folder, images, rows_of
from npticket.datasets.decoding import PIXELS, Photographs, _cut
from npticket.datasets.lazy import AHEAD
from npticket.experiments import machine
from npticket.experiments.checks import check, check_data, sized
from npticket.experiments.parts import load_data
from npticket.experiments.recipe import Part
from npticket.optimizers import SGD
from npticket.papers import PARTS
from npticket.prune import dense_masks
from npticket.reading import UnreadableError
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.train import Setting, fit

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def write(path, shape=(10, 8, 3), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = RNG.integers(0, 256, shape, np.uint8)
    Image.fromarray(array).save(path, **options)
    return array


def write_folders(root, n=12):
    """Two classes, of whose images some lie a folder deeper, and images for testing with a list."""
    for i in range(n):
        write(root / "train" / "cat" / f"{i:02}.png")
        write(root / "train" / "dog" / "images" / f"{i:02}.JPEG", (9, 14, 3))
    write(root / "train" / "dog" / "grey.jpg", (8, 8))
    (root / "train" / "dog" / "boxes.txt").write_text("nothing")
    lines = []
    for i in range(6):
        write(root / "val" / "images" / f"val_{i}.JPEG")
        lines.append(f"val_{i}.JPEG\t{('cat', 'dog')[i % 2]}\t0\t0\t63\t63")
    (root / "val" / "list.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "photos"
    write_folders(folder)
    return folder


def both(root, **options):
    """The same images in memory and in their files."""
    given = {"path": root.name, "size": [8, 8], "test": "val/list.txt", **options}
    return images(root.parent, **given), images(root.parent, keep=0, **given)


# Kinds of files


def one(path, size=(10, 8)):
    return Photographs(path.parent, (path.name,), size)(0)


def test_a_png_of_the_size_is_as_it_is_and_the_middle_is_cut_out_of_others(tmp_path):
    array = write(tmp_path / "a.png")
    assert (one(tmp_path / "a.png") == array).all()
    wide = np.zeros((6, 16, 3), np.uint8)
    wide[:, 5:11] = array[:6, :6]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (one(tmp_path / "wide.png", (6, 6)) == array[:6, :6]).all()
    Image.fromarray(wide.swapaxes(0, 1)).save(tmp_path / "high.png")
    assert (one(tmp_path / "high.png", (6, 6)) == array[:6, :6].swapaxes(0, 1)).all()
    assert one(tmp_path / "wide.png", (3, 3)).shape == (3, 3, 3)


@pytest.mark.parametrize("size", [(224, 224), (100, 299), (33, 97)])
def test_images_of_all_sizes_have_a_middle(tmp_path, size):
    """Of some, 900 x 1200 among them, the proportions are a rounding away from what there is."""
    for width, height in [(900, 1200), (1200, 900), (450, 600), *RNG.integers(1, 1500, (150, 2)).tolist()]:
        assert _cut(Image, Image.new("RGB", (width, height)), *size).size == size[::-1], (width, height)
    Image.new("RGB", (450, 600), "white").save(tmp_path / "high.jpg")
    assert (one(tmp_path / "high.jpg", size) == 255).all()


def saved(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return one(path, array.shape[:2]).astype(int)


def test_grey_palettes_alpha_and_16_bits_become_colour_as_said(tmp_path):
    grey = RNG.integers(0, 256, (10, 8), np.uint8)
    assert (saved(tmp_path / "l.png", grey) == grey[..., None]).all()
    assert (saved(tmp_path / "i.png", grey.astype(np.uint16) * 256 + 99) == grey[..., None]).all()
    bits = (grey > 99).astype(np.uint8)
    assert (saved(tmp_path / "one.png", 255 * bits, "1") == 255 * bits[..., None]).all()
    few = np.array([[255, 0, 0], [0, 0, 0], [10, 20, 30]], np.uint8)[RNG.integers(0, 3, (10, 8))]
    assert (saved(tmp_path / "p.png", few, "P") == np.asarray(Image.fromarray(few).convert("P").convert("RGB"))).all()
    colour = RNG.integers(0, 256, (10, 8, 4), np.uint8)
    alpha = colour[..., 3:] / 255
    found = saved(tmp_path / "rgba.png", colour)
    assert abs(found - (colour[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1
    assert abs(saved(tmp_path / "la.png", colour, "LA").std(axis=-1)).max() == 0
    assert abs(saved(tmp_path / "grey.jpg", np.full((10, 8), 77, np.uint8)) - 77).max() <= 1


def test_cmyk_becomes_colour(tmp_path):
    flat = np.zeros((16, 16, 4), np.uint8)
    flat[..., 0], flat[..., 3] = 255, 51  # cyan, a fifth of it black
    Image.fromarray(flat, "CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    assert abs(one(tmp_path / "cmyk.jpg", (16, 16)).astype(int) - [0, 204, 204]).max() <= 3


def test_a_png_that_is_called_jpeg_is_read_and_other_formats_are_not(tmp_path):
    array = write(tmp_path / "a.JPEG", format="PNG")
    assert (one(tmp_path / "a.JPEG") == array).all()
    write(tmp_path / "b.jpg", format="BMP")
    with pytest.raises(UnreadableError, match=r"b.jpg is no image that can be read: what is in it is no JPEG or PNG"):
        one(tmp_path / "b.jpg")


@pytest.mark.parametrize("side", [9_000, 20_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_small_file_of_very_many_pixels_is_refused_before_it_is_decoded(tmp_path, side):
    write(tmp_path / "bomb.png", (1, 1))
    content = bytearray((tmp_path / "bomb.png").read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(content)
    assert side**2 > PIXELS
    with traced() as most, pytest.raises(UnreadableError, match=r"bomb.png is no image that can be read: .*pixels"):
        one(tmp_path / "bomb.png")
    assert most() < 1 << 20


@given(st.binary(max_size=60), st.integers(0, 400))
def test_whatever_is_in_a_file_it_is_an_image_or_refused_by_its_name(tmp_path_factory, rubbish, at):
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(file := io.BytesIO(), "JPEG" if at % 2 else "PNG")
    content = file.getvalue()
    path.write_bytes(content[:at] + rubbish + content[at + len(rubbish) :])
    try:
        assert one(path).shape == (10, 8, 3)
    except UnreadableError as error:
        assert "any.jpg" in str(error)


# Folders


def test_folders_and_lists_become_splits(root):
    kept, _ = both(root)
    assert [len(split) for split in (kept.train, kept.validation, kept.test)] == [23, 2, 6] and kept.classes == 2
    assert kept.test.targets.tolist() == [0, 1] * 3 and kept.name == "photos"
    first = np.asarray(Image.open(root / "val" / "images" / "val_0.JPEG"))
    assert (kept.test.inputs[0] == first[1:9]).all()
    assert "in memory" in kept.source and "2 for validation set aside" in kept.source


def test_pixels_get_the_means_of_imagenets_colours(root):
    kept, _ = both(root)
    pixels = np.array([0.485, 0.456, 0.406]) * 255
    assert kept.floats(np.full((1, 1, 3), 255, np.uint8), "float64")[0, 0, 0] == pytest.approx((1 - 0.485) / 0.229)
    assert abs(kept.floats(np.rint(pixels).astype(np.uint8)[None], "float32")).max() < 0.01


def test_all_broken_files_are_named_and_counted(tmp_path):
    write_folders(tmp_path / "photos")
    broken = [tmp_path / "photos" / "train" / "cat" / "03.png", tmp_path / "photos" / "train" / "dog" / "grey.jpg"]
    for path in broken:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    broken.append(tmp_path / "photos" / "val" / "images" / "val_5.JPEG")
    broken[-1].unlink()
    for keep in (None, 0):
        with pytest.raises(DataError, match=r"3 of 31 files in .*photos are no images") as caught:
            images(tmp_path, path="photos", test="val/list.txt", size=[8, 8], keep=keep)
        assert all(str(path) in str(caught.value) for path in broken)


def test_folders_of_classes_may_be_links_which_lead_into_no_circle(tmp_path):
    for split in ("train", "val"):
        for label in ("a", "b"):
            write(tmp_path / "photos" / split / label / "0.png")
            write(tmp_path / "photos" / split / label / "1.png")
        write(elsewhere := tmp_path / "elsewhere" / split / "deep" / "0.png")
        (tmp_path / "photos" / split / "c").symlink_to(elsewhere.parents[1])
        (elsewhere.parent / "back").symlink_to(tmp_path / "photos" / split)
    found = images(tmp_path, path="photos", size=[8, 8])
    assert found.classes == 3 and found.test.targets.tolist() == [0, 0, 1, 1, 2]
    assert len(found.train) + len(found.validation) == 5
    (elsewhere.parents[1] / "0.png").symlink_to(elsewhere)
    with pytest.raises(DataError, match=r"c/deep/0\.png is an image, but not in the folder of a class itself"):
        image_folder(tmp_path, path="photos/val", size=[8, 8])
    elsewhere.replace(elsewhere.parents[1] / "0.png")
    other = image_folder(tmp_path, path="photos/val", size=[8, 8])
    assert other.classes == 3, "as it is there"


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda root: None, {"size": [8]}, "size must be"),
        (lambda root: None, {"test": "test"}, "there are no images for testing"),
        (lambda root: None, {"test": "../val"}, "must lie in the folder"),
        (lambda root: None, {"test": "val"}, "no training images of the class 'images'; where a list"),
        (lambda root: (root / "val" / "list.txt").write_text("\na.jpg\n"), {}, "line 2: expected a file and its"),
        (lambda root: (root / "val" / "list.txt").write_text("../a.jpg cat\n"), {}, "line 1: expected a file"),
        (
            lambda root: (root / "val" / "list.txt").write_text("a.jpg cat\na.jpg dog\n"),
            {},
            "line 2: 'a.jpg' is there t",
        ),
        (lambda root: (root / "val" / "list.txt").write_text("\n"), {}, "list.txt is empty"),
        (lambda root: (root / "val" / "list.txt").write_text("val_0.JPEG emu\n"), {}, "of the class 'emu'"),
        (lambda root: (root / "train").rename(root / "training"), {}, "there are no images in .*train"),
        (lambda root: (root / "train" / "cat").rename(root / "cat"), {}, "folders of two classes at least"),
        (lambda root: (root / "train" / "emu").mkdir(), {}, "train/emu has no images"),
    ],
)
def test_folders_that_make_no_sense_are_refused(tmp_path, change, options, message):
    write_folders(tmp_path / "photos", n=2)
    change(tmp_path / "photos")
    with pytest.raises(DataError, match=message):
        images(tmp_path, path="photos", **{"test": "val/list.txt", "size": [8, 8], **options})


def test_without_pillow_it_is_said_what_to_install(root, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"images need Pillow: .*npticket\[images\]"):
        both(root)


# In memory or not


def test_batches_are_the_same_from_memory_and_from_files_and_so_is_all_that_depends_on_them(root):
    kept, lazy = both(root)
    assert isinstance(lazy.train.inputs, Lazy) and isinstance(kept.train.inputs, np.ndarray)
    assert "read from files" in lazy.source
    index = RNG.integers(0, 22, (2, 5))
    for data in (lazy, kept.prepared(lambda x: x), pickle.loads(pickle.dumps(lazy))):
        for name in ("train", "validation", "test"):
            one, other = getattr(kept, name), getattr(data, name)
            assert (one.targets == other.targets).all() and one.inputs.shape == other.inputs.shape
            assert (one.inputs[None, 1:3] == other.inputs[None, 1:3]).all()
        assert (kept.train.inputs.take(index, axis=0) == data.train.inputs.take(index, axis=0)).all()
        assert (kept.train.take(index).inputs == data.train.take(index).inputs[:]).all()
        some, others = kept.at_most(4).test.inputs, data.at_most(4).test.inputs
        assert (kept.floats(some, "float32") == data.floats(others, "float32")).all()
    spread = [data.at_most(4).train for data in (kept, lazy)]
    assert (spread[0].targets == spread[1].targets).all() and len(spread[0]) == 4
    assert machine.sha256(kept) == machine.sha256(lazy)
    assert kept.train.inputs.take([30], axis=0, mode="wrap").tolist() == (
        lazy.train.inputs.take([30], axis=0, mode="wrap").tolist())  # fmt: skip


@pytest.mark.parametrize(
    ("net", "augment", "engine"),
    [(nets.resnet(8, 2, 2, (8, 8, 3)), ResizedCrop.draw, "plain"), (nets.mlp([4], [8, 8, 3], 2), None, "fast")],
)
def test_training_is_the_same_bit_for_bit_whatever_the_number_of_threads(root, net, augment, engine):
    kept, lazy = both(root)
    three = lazy.train.inputs.chosen(slice(None))
    three.threads = 3
    place, setting = Place(1, range(2)), Setting(lambda masks: SGD(masks, 0.1), 8, 5, 4, augment=augment, engine=engine)
    theta = net.init(place.rngs("init"))
    ends = [
        fit(net, CLASSIFY, theta, dense_masks(theta), data, setting, place)
        for data in (kept, lazy, replace(lazy, train=Split(three, lazy.train.targets)))
    ]
    for other in ends[1:]:
        # A dense network's first layer leaves out pixels that are never lit, of which nothing is known of lazy ones.
        close = np.array_equal if augment else np.allclose
        assert close(ends[0].end.flat, other.end.flat) and close(ends[0]["val_loss"], other["val_loss"])


def test_what_needs_all_of_it_says_so(root):
    _, lazy = both(root)
    assert lazy.sample("float32") is None
    with pytest.raises(TypeError, match="keep them in memory"):
        lazy.to(strict)


def test_other_processes_map_what_is_in_memory_and_read_the_rest_themselves(root, tmp_path):
    for i, data in enumerate(both(root)):
        (folder := tmp_path / str(i)).mkdir()
        found = pickle.loads(pickle.dumps(Shared(data, folder)))()
        assert machine.sha256(found) == machine.sha256(data) and found.shift == data.shift
        assert len(list(folder.glob("*inputs.npy"))) == (0 if i else 3)


def test_a_recipe_names_them_and_the_network_gets_their_size(root):
    recipe = replace(SMALL, net=Part("resnet", depth=8, width=2), augment=Part("resized_crop"), batch=8,
                     prune=Part("magnitude", rates={"*/W": 0.2}),
                     data=Part("images", path="photos", size=[8, 8], test="val/list.txt"))  # fmt: skip
    data = load_data(recipe, PARTS, root.parent)
    found = sized(recipe, PARTS, data)
    assert found.net.options["input_shape"] == [8, 8, 3] and found.net.options["classes"] == 2
    check(found, PARTS)
    from npticket.experiments.parts import Experiment

    check_data(Experiment(found, PARTS), data)


def test_no_more_is_read_ahead_or_held_than_is_said():
    made, size = [], 1 << 14

    def make(number):
        made.append(number)
        return np.full(size, number % 256, np.uint8)

    rows = Lazy(make, range(1000), (size,), threads=2)
    keys = [slice(i, i + 10) for i in range(0, 1000, 10)]
    with traced() as most:
        for i, batch in enumerate(rows.ahead(keys)):
            assert (batch[:, 0] == np.arange(10 * i, 10 * i + 10) % 256).all()
            assert len(made) <= 10 * (i + 1 + AHEAD)
    assert i == 99 and most() < (AHEAD + 3) * 10 * size + (1 << 19)  # of 16 MB
    begun = rows.ahead(keys)
    next(begun)
    begun.close()  # a training run that ends in the middle of an epoch


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_threads_of_its_own():
    rows = Lazy(lambda number: np.full(3, number, np.uint8), range(10), (3,), threads=1)
    assert rows[3].tolist() == [3, 3, 3]
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(int(rows[:][7, 0])))
    child.start()
    child.join(20)
    if child.exitcode is None:
        child.kill()
        child.join()
    assert child.exitcode == 7 and rows[4].tolist() == [4, 4, 4]


def test_what_cannot_be_made_is_said_where_it_is_asked_for():
    def make(number):
        if number == 7:
            raise UnreadableError("7 is broken")
        return np.zeros(3, np.uint8)

    rows = Lazy(make, range(10), (3,))
    assert rows[:7].shape == (7, 3) and rows[3].shape == (3,)
    with pytest.raises(UnreadableError, match="7 is broken"):
        rows.take([2, 7], axis=0)
    with pytest.raises(TypeError, match="keep them in memory"):
        np.asarray(rows)
    assert rows[None, 2:4].shape == (1, 2, 3)
    for key in ((slice(3), 1), (None, 1, 2), (0, None)):
        with pytest.raises(IndexError, match="rows are read whole"):
            rows[key]
    with pytest.raises(UnreadableError):
        list(rows_of(rows, [slice(0, 5), slice(5, 10)]))


# Random-resized crops


def oracle(image, box, mirrored):
    """Pixel by pixel."""
    size = image.shape[:2]
    out = np.empty(image.shape)
    for i in range(size[0]):
        for j in range(size[1]):
            at = []
            for k, axis in ((i, 0), (j, 1)):
                place = (box[axis] + (k + 0.5) / size[axis] * box[axis + 2]) * size[axis] - 0.5
                at.append(min(max(place, 0), size[axis] - 1))
            (r, c), (h, w) = (int(at[0]), int(at[1])), (at[0] % 1, at[1] % 1)
            r1, c1 = min(r + 1, size[0] - 1), min(c + 1, size[1] - 1)
            pixels = image.astype(float)
            top, below = ((1 - w) * pixels[row, c] + w * pixels[row, c1] for row in (r, r1))
            out[i, j if not mirrored else size[1] - 1 - j] = (1 - h) * top + h * below
    return out


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(2, 9))
def test_crops_are_those_of_a_loop_over_pixels(seed, height, width):
    batch = np.random.default_rng(seed).integers(0, 256, (2, 3, height, width, 3), np.uint8)
    changes = ResizedCrop.draw(6, Place(seed, range(2)), 1)
    cropped = changes.apply(batch, slice(3, 6))
    assert cropped.dtype == np.uint8
    for t in range(2):
        for b in range(3):
            expected = oracle(batch[t, b], changes.boxes[t, 3 + b], changes.mirrored[t, 3 + b])
            assert abs(cropped[t, b] - expected).max() <= 0.5 + 1e-3


def test_crops_lie_inside_and_have_the_areas_and_proportions_that_are_said():
    changes = ResizedCrop.draw(4000, Place(), 0)
    top, left, height, width = changes.boxes[0].T
    assert (changes.boxes >= 0).all() and (top + height <= 1 + 1e-9).all() and (left + width <= 1 + 1e-9).all()
    area, ratio = height * width, width / height
    assert 0.079 < area.min() < 0.1 and 0.95 < area.max() <= 1 and 0.4 < area.mean() < 0.56
    assert ratio.min() == pytest.approx(3 / 4, abs=0.01) and ratio.max() == pytest.approx(4 / 3, abs=0.01)
    assert abs(changes.mirrored.mean() - 0.5) < 0.05
    alone = ResizedCrop.draw(50, Place(3, [2]), 4)
    among = ResizedCrop.draw(50, Place(3, range(4)), 4)
    assert (alone.boxes[0] == among.boxes[2]).all() and (alone.mirrored[0] == among.mirrored[2]).all()
    assert (alone.boxes != ResizedCrop.draw(50, Place(3, [2]), 5).boxes).any()


def test_the_whole_image_is_itself_and_what_is_no_image_is_refused():
    batch = RNG.integers(0, 256, (1, 2, 5, 6, 3), np.uint8)
    whole = ResizedCrop(np.tile([0.0, 0, 1, 1], (1, 2, 1)), np.array([[False, True]]))
    assert (whole.apply(batch, slice(0, 2)) == [batch[0, 0], batch[0, 1, :, ::-1]]).all()
    for bad in (batch[..., 0], batch.astype(np.float32)):
        with pytest.raises(ValueError, match="to be cropped, images must be"):
            whole.apply(bad, slice(0, 2))


def test_scales_of_channels_are_numbers_or_one_for_each():
    split = Split(RNG.integers(0, 256, (4, 2, 2, 3), np.uint8), np.zeros(4, int))
    data = Dataset("any", split, split, split, 1, "a test", scale=(1.0, 2.0, 3.0), shift=(0.0, 1.0, 0.0))
    assert (data.floats(split.inputs, "float64") == split.inputs * [1.0, 2, 3] + [0, 1, 0]).all()
    assert data.floats(split.inputs, "float32").dtype == np.float32


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_scales_of_channels_go_with_pixels_that_an_engine_puts_elsewhere(engine):
    pixels = RNG.integers(0, 256, (12, 3, 4, 3), np.uint8)
    pixels[:, 1, 2] = 0  # never lit, but for their shift
    scale, shift = (0.01, 0.02, 0.03), (0.5, 0.0, -0.5)
    as_pixels, as_floats = (Split(each, np.arange(12) % 2) for each in (pixels, pixels * scale + shift))
    net, place = nets.mlp([4], [3, 4, 3], 2), Place(1)
    theta = net.init(place.rngs("init"), np.float64)
    setting = Setting(lambda masks: SGD(masks, 0.1), 8, 5, 4, engine=engine)
    ends = [
        fit(net, CLASSIFY, theta, dense_masks(theta), Dataset("any", split, split, split, 2, "", **of), setting, place)
        for split, of in ((as_pixels, {"scale": scale, "shift": shift}), (as_floats, {}))
    ]
    assert ends[0].end.flat == pytest.approx(ends[1].end.flat, rel=1e-12)
    assert ends[0]["val_loss"] == pytest.approx(ends[1]["val_loss"], rel=1e-12)


def test_images_are_not_tested_with_what_they_are_trained_with(root):
    with pytest.raises(DataError, match=r"/train tests with images that are trained with, such as 'train/"):
        images(path=str(root), size=(8, 8), test="train")


def test_memory_is_what_a_container_may_take(tmp_path, monkeypatch):
    read = importlib.import_module("npticket.datasets.images")
    monkeypatch.setattr(read, "LIMITS", ())
    whole = read._memory()
    for said, expected in (("123456\n", 123456), ("max\n", whole), (f"{1 << 62}\n", whole)):
        (tmp_path / "memory.max").write_text(said)
        monkeypatch.setattr(read, "LIMITS", (str(tmp_path / "none"), str(tmp_path / "memory.max")))
        assert read._memory() == expected


def test_the_seed_chooses_what_is_set_aside(root):
    given = {"path": root.name, "size": [8, 8], "test": "val/list.txt"}
    one, again, other = (images(root.parent, seed, **given) for seed in (1, 1, 2))
    assert (one.validation.inputs == again.validation.inputs).all()
    assert (one.validation.inputs != other.validation.inputs).any()
