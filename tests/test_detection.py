"""Object detection: gradients of its loss, which cells show what, suppression, and average precision as COCO has it."""

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings

from npticket import nets
from npticket.datasets import DataError, Dataset, Split
from npticket.detection import Found, average_precision, detect, detection_loss, detections, overlaps, suppress
from npticket.detection.loss import PRIOR, assigned, box_loss, focal_loss
from npticket.detection.precision import RECALLS, SIZES
from npticket.detection.task import find
from npticket.optimizers import Adam
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.task import misfit
from npticket.testing import check_gradient
from npticket.testing.gradients import directional_error
from npticket.testing.strategies import seeds
from npticket.train import Setting, fit

ROWS, COLUMNS, CLASSES = 4, 5, 3
COCO_SIZES = {**SIZES, "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


def objects(rng, shape, most=4):
    """Random targets (*shape, most, 5) for images of 32 x 40 pixels, some rows without an object."""
    low = rng.uniform(0, [30, 22], (*shape, most, 2))
    sides = rng.uniform(0.5, [40, 32] - low)
    kinds = rng.integers(-1, CLASSES, (*shape, most, 1))
    return np.concatenate([kinds, low, sides], axis=-1)


@settings(max_examples=20)
@given(seeds)
def test_the_loss_has_its_gradient(seed):
    rng = np.random.default_rng(seed)
    y, targets = rng.normal(0, 0.7, (2, 3, ROWS, COLUMNS, CLASSES + 4)), objects(rng, (2, 3))
    y[..., :CLASSES] += PRIOR
    loss, dy = detection_loss(y, targets)
    assert loss.shape == (2,) and dy.shape == y.shape
    for t in range(2):
        one = slice(t, t + 1)
        found, slope = detection_loss(y[one], targets[one])
        assert found[0] == loss[t] and (slope[0] == dy[t]).all(), "trials never touch each other"

        def alone(values, one=one):
            return detection_loss(values[None], targets[one])[0][0]

        assert directional_error(alone, dy[t], y[t], rng) < 1e-6
        assert directional_error(alone, 1.01 * dy[t], y[t], rng) > 1e-6, "the check can fail"


def test_targets_that_all_trials_see_cost_each_the_same():
    rng = np.random.default_rng(0)
    y, targets = rng.normal(size=(2, 3, ROWS, COLUMNS, 7)).astype(np.float32), objects(rng, (1, 3)).astype(np.float32)
    (loss, dy), (twice, same) = detection_loss(y, targets), detection_loss(y, targets.repeat(2, axis=0))
    assert (loss == twice).all() and (dy == same).all() and loss.dtype == dy.dtype == np.float32


def test_the_focal_loss_by_hand():
    loss, slope = focal_loss(np.zeros(2), np.array([True, False]))
    assert loss == pytest.approx([0.25 * 0.25 * math.log(2), 0.75 * 0.25 * math.log(2)])
    assert slope[0] < 0 < slope[1]
    extreme, slopes = focal_loss(np.array([1e4, -1e4, 1e4, -1e4]), np.array([True, True, False, False]))
    assert extreme.tolist() == [0, 2500, 7500, 0] and np.isfinite(slopes).all()


def test_generalised_overlap_by_hand():
    """Boxes of 2 x 2 cells: the same, half beside each other, and with a gap of one between them."""
    z = np.array([0.0, 0, math.log(2), math.log(2)]).reshape(1, 1, 1, 1, 4)
    for shift, giou in ((0, 1), (1, 2 / 6), (3, 0 - 2 / 10)):
        loss, _ = box_loss(z, np.array([shift - 0.5, -0.5, 2, 2]))
        assert loss[0, 0, 0, 0] == pytest.approx(1 - giou)


def test_cells_show_the_smallest_object_around_their_centre():
    """Cells are 8 x 8 pixels; -1 is no object."""
    targets = np.array([[[0, 0, 0, 40, 32], [1, 16, 8, 8, 8], [2, 33, 1, 2, 2], [-1, 0, 0, 40, 32]]], float)
    chosen, shows = assigned(targets[None], ROWS, COLUMNS)
    kinds = np.where(shows, chosen[..., 0], -1)[0, 0].astype(int)
    assert kinds.tolist() == [
        [-1, -1, -1, -1, 2],  # the smallest lies between centres of cells, and in this one
        [-1, -1, 1, -1, -1],  # whose centre lies in the second as well
        [-1, -1, 0, -1, -1],
        [-1, -1, -1, -1, -1],
    ]
    assert (chosen[0, 0, 1, 2] == targets[0, 1]).all()


def test_what_the_loss_wants_is_what_is_found():
    """Outputs that say exactly what the targets say cost next to nothing, and give the boxes back."""
    targets = np.array([[0, 3, 4, 10, 12], [2, 20, 9, 16, 14.0]])
    chosen, shows = assigned(targets[None, None], ROWS, COLUMNS)
    x, y, w, h = np.moveaxis(chosen[0, 0, ..., 1:], -1, 0) / 8
    said = np.zeros((1, 1, ROWS, COLUMNS, CLASSES + 4))
    said[..., :CLASSES] = np.where(shows[..., None] & (chosen[..., :1] == range(CLASSES)), 20, -20)
    said[0, 0, ..., 3], said[0, 0, ..., 4] = x + w / 2 - np.arange(5) - 0.5, y + h / 2 - np.arange(4)[:, None] - 0.5
    said[0, 0, ..., 5], said[0, 0, ..., 6] = np.log(np.maximum(w, 0.1)), np.log(np.maximum(h, 0.1))
    assert detection_loss(said, targets[None, None])[0][0] < 1e-5
    (found,) = detections(said[0])
    order = np.argsort(found.classes)
    assert found.classes[order].tolist() == [0, 2] and np.allclose(found.boxes[order], targets[:, 1:])
    assert average_precision([found], targets[None], CLASSES)[0, [0, 2]] == pytest.approx(1)
    measured = detect("find", CLASSES).evaluate(lambda x: said, [(None, targets[None, None])])
    assert measured["ap"] == measured["ap50"] == pytest.approx([1]), "no object is of class 1, which does not count"


def test_classes_do_not_suppress_each_other_and_boxes_are_cut_to_the_image():
    said = np.full((1, ROWS, COLUMNS, CLASSES + 4), -20.0)
    said[0, 0, 0] = 20, 20, -20, 0, 0, math.log(3), math.log(3)  # 24 x 24 pixels around (4, 4)
    (found,) = detections(said)
    assert found.classes.tolist() == [0, 1] and (found.boxes == [0, 0, 16, 16]).all()


def test_an_image_has_at_most_100_boxes_of_the_300_best_before_suppression():
    said = np.zeros((1, 18, 18, 1 + 4))
    said[0, ..., 0] = np.linspace(9, 7, 324).reshape(18, 18)  # each cell a box of its own, the first the best
    (found,) = detections(said)
    assert len(found.boxes) == 100 and (found.boxes[:2] == [[0, 0, 8, 8], [8, 0, 8, 8]]).all()
    cells = np.stack(np.meshgrid(np.arange(18), np.arange(18)), axis=-1).reshape(-1, 2)
    same = said.reshape(324, 5).copy()
    same[:300, 1:3] = -cells[:300]  # 300 times the first, and then 24 others
    (found,) = detections(same.reshape(said.shape))
    assert found.boxes.tolist() == [[0, 0, 8, 8]]


def test_images_may_come_in_parts():
    rng = np.random.default_rng(0)
    y, targets = rng.normal(0, 2, (2, 5, ROWS, COLUMNS, CLASSES + 4)), objects(rng, (1, 5))
    y[..., :CLASSES] += PRIOR
    whole = find(lambda x: x, [(y, targets)])
    parts = find(lambda x: x, [(y[:, part], targets[:, part]) for part in (slice(3), slice(3, 5))])
    assert whole[2] == pytest.approx(detection_loss(y, targets)[0]) and parts[2] == pytest.approx(whole[2])
    assert (parts[1] == targets[0]).all() and (whole[1] == targets[0]).all()
    for of_parts, of_whole in zip(parts[0], whole[0], strict=True):
        assert [one.boxes.tolist() for one in of_parts] == [one.boxes.tolist() for one in of_whole]
        assert len(of_whole) == 5 and all(len(one.boxes) for one in of_whole)


def test_overlaps_and_suppression_by_hand():
    boxes = np.array([[0, 0, 4, 4], [2, 0, 4, 4], [0, 0, 4, 2], [9, 9, 1, 1], [5, 5, 0, 0]], float)
    assert overlaps(boxes[:1], boxes)[0].tolist() == [1, 8 / 24, 0.5, 0, 0]
    for kind in (int, np.uint8, np.float32):
        assert overlaps(boxes[:1].astype(kind), boxes.astype(kind))[0].tolist() == pytest.approx([1, 1 / 3, 0.5, 0, 0])
    scores = np.array([0.5, 0.9, 0.8, 0.5, 0.1])
    assert suppress(boxes, scores, 0.4).tolist() == [1, 2, 3, 4], "the third hides the first"
    assert suppress(boxes[:2], scores[:2], 0.3).tolist() == [1], "1/3 is more"
    assert suppress(boxes[:3], scores[:3], 0.6).tolist() == [1, 2, 0]
    assert suppress(np.zeros((0, 4)), np.zeros(0)).tolist() == []


def found(*rows):
    """Boxes 10 wide and high at x of each (x, score, class)."""
    x, scores, kinds = np.array(rows, float).reshape(-1, 3).T
    boxes = np.stack([x, 0 * x, 0 * x + 10, 0 * x + 10], axis=1)
    return Found(boxes, scores, kinds.astype(int))


def truth(*xs, kind=0):
    return np.array([[kind, x, 0, 10, 10] for x in xs], float).reshape(-1, 5)


def test_average_precision_by_hand():
    """Three objects; found are the first, nothing, and the second: precision 1, 1/2, 2/3 at recalls 1/3, 1/3, 2/3."""
    precision = average_precision([found((0, 0.9, 0), (50, 0.8, 0), (20, 0.7, 0))], truth(0, 20, 80)[None], 1)[0, 0]
    assert precision == pytest.approx([(34 * 1 + 33 * 2 / 3) / 101] * 10)  # recalls 0 to 0.33, to 0.66, and beyond


def test_an_object_is_found_once_and_may_be_another_ones_at_a_higher_overlap():
    """The first overlaps by 8/12, the second by all: at 0.5 to 0.65 the first has it, and then the second."""
    precision = average_precision([found((2, 0.9, 0), (0, 0.8, 0))], truth(0)[None], 1)[0, 0]
    assert precision == pytest.approx([1] * 4 + [0.5] * 6)


def test_what_is_not_there_has_no_precision_and_other_classes_do_not_matter():
    one = average_precision([found((0, 0.9, 1), (0, 0.8, 0))], truth(0)[None], 3)[0]
    assert np.isnan(one[1:]).all() and one[0] == pytest.approx(1)
    none = average_precision([found()], truth(0)[None], 1)
    assert (none == 0).all()
    with pytest.raises(ValueError, match="2 images"):
        average_precision([found()] * 2, truth(0)[None], 1)


def test_other_sizes_neither_help_nor_harm():
    """An object of 100 square pixels is found as one of 100; so is one of 4 where there is nothing, which is small."""
    boxes = np.array([[0, 0, 10, 10], [50, 50, 2, 2]], float)
    seen = Found(boxes, np.array([0.5, 0.9]), np.zeros(2, int))
    sizes = {"all": (0, 1e10), "small": (0, 50), "large": (50, 1e10)}
    by_size = average_precision([seen], truth(0)[None], 1, sizes)[:, 0, 0]
    assert by_size[0] == pytest.approx(0.5) and np.isnan(by_size[1]) and by_size[2] == pytest.approx(1)


@settings(max_examples=15)
@given(seeds)
def test_average_precision_is_pycocotools(seed):
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(seed)
    targets, seen = np.zeros((6, 5, 5)), list[Found]()
    for rows in targets:
        rows[:, 0] = rng.integers(-1, 3, 5)
        rows[:, 1:] = rng.uniform([0, 0, 5, 5], [60, 60, 65, 65], (5, 4))
        rows[rng.random(5) < 0.3, 3:] *= 2
        near = np.repeat(rows, 3, axis=0)
        near[:, 1:] += rng.normal(0, rng.choice([0.5, 4, 12], (15, 1)), (15, 4))
        near[:, 3:] = near[:, 3:].clip(1)
        near[:, 0] = np.where(rng.random(15) < 0.2, rng.integers(0, 3, 15), near[:, 0].clip(0))
        seen.append(Found(near[:, 1:], rng.integers(1, 9, 15) / 10, near[:, 0].astype(int)))  # with ties
    gt, annotations = coco.COCO(), []
    for i, rows in enumerate(targets):
        for kind, *box in rows[rows[:, 0] >= 0].tolist():
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": int(kind), "bbox": box,
                                "area": box[2] * box[3], "iscrowd": 0})  # fmt: skip
    gt.dataset = {"images": [{"id": i} for i in range(6)], "annotations": annotations,
                  "categories": [{"id": k} for k in range(3)]}  # fmt: skip
    results = [
        {"image_id": i, "category_id": int(kind), "bbox": box.tolist(), "score": float(score)}
        for i, one in enumerate(seen) for box, score, kind in zip(*one, strict=True)
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        gt.createIndex()
        judge = evaluation.COCOeval(gt, gt.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
    theirs = judge.eval["precision"][..., -1].mean(axis=1)  # (overlaps, recalls, classes, sizes, most found)
    ours = average_precision(seen, targets, 3, COCO_SIZES).transpose(2, 1, 0)
    assert len(RECALLS) == judge.eval["precision"].shape[1]
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), theirs, atol=1e-12)


def test_the_detector_has_150_thousand_weights_and_its_gradient():
    net = nets.detector()
    assert sum(math.prod(shape) for name, shape in net.body.layout.items() if name.endswith("/W")) == 150_675
    assert net.output_shape == (16, 20, 7)
    x = np.random.default_rng(0).normal(size=(2, 2, 16, 24, 2))
    small = nets.detector(16, 24, channels=2, classes=2, filters=2)
    check_gradient(small.body, x, training=True)
    check_gradient(small.body, x)
    with pytest.raises(ValueError, match="multiples of 8"):
        nets.detector(100, 100)


def squares(seed, n):
    """Images of one bright square or dark one, 6 to 12 pixels wide."""
    rng = np.random.default_rng(seed)
    images, targets = np.full((n, 24, 24, 1), 128, np.uint8), np.zeros((n, 1, 5), np.float32)
    for image, row in zip(images, targets, strict=True):
        kind, side = rng.integers(2), rng.integers(6, 13)
        x, y = rng.integers(25 - side, size=2)
        image[y : y + side, x : x + side] = 255 * kind
        row[0] = kind, x, y, side, side
    return Split(images, targets)


def test_it_learns_to_find():
    data = Dataset("squares", squares(0, 200), squares(1, 20), squares(2, 40), None, "a test", scale=2 / 255, shift=-1)
    net, task = nets.detector(24, 24, 1, 2, filters=4), detect("detect squares", 2)
    assert task.names == ("loss", "ap50", "ap") and misfit(net, task, data) == ""
    assert "takes outputs of shape (3, 3, 6)" in misfit(nets.detector(24, 24, 1, 3), task, data)
    theta0 = net.init(streams(0, [0], "init"))
    setting = Setting(lambda masks: Adam(masks, 5e-3), steps=250, batch=16, validate_every=125)
    done = fit(net, task, theta0, dense_masks(theta0), data, setting)
    assert done["final_test_ap50"][0] > 0.7 and done["final_test_ap"][0] > 0.3
    assert done["val_loss"][0, -1] < done["val_loss"][0, 0]


def test_data_without_boxes_or_of_no_images_are_refused_in_words():
    task, net = detect("find squares", 2), nets.detector(24, 24, 1, 2)
    classes = Split(np.zeros((4, 3), np.float32), np.arange(4) % 2)
    table = Dataset("a table", classes, classes, classes, 2, "a test")
    with pytest.raises(DataError, match=r"to find squares takes targets \(N, M, 5\), .* a table has targets \(4,\)"):
        misfit(net, task, table)
    boxes = Split(np.zeros((4, 3), np.float32), np.zeros((4, 1, 5), np.float32))
    flat = Dataset("flat", boxes, boxes, boxes, None, "a test")
    assert misfit(net, task, flat) == "flat has inputs of shape (3,), detector takes (24, 24, 1)"
