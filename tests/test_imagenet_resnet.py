"""Residual networks for ImageNet: their sizes, gradients and outputs, and the pool that they begin with."""

import math

import numpy as np
import pytest

from npticket import nets
from npticket.engine import plan
from npticket.export import from_state_dict, from_torchvision, onnx_model, state_dict
from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep, streams
from npticket.task import CLASSIFY
from npticket.testing import check_gradient
from npticket.tickets import rewind
from npticket.units import Units, multiply_adds


def sizes(net):
    """The number of parameters, without running statistics as torchvision counts them, and of weights."""
    counts = {name: math.prod(shape) for name, shape in net.body.layout.items() if "running_" not in name}
    return sum(counts.values()), sum(size for name, size in counts.items() if name.endswith("/W"))


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_parameters_are_as_many_as_torchvision_counts(depth, parameters):
    assert sizes(nets.imagenet_resnet(depth))[0] == parameters


def test_resnet_50_has_25_million_weights_and_4_billion_multiplications():
    net = nets.imagenet_resnet()
    assert sizes(net)[1] == 25_502_912 and net.output_shape == (1000,)
    assert len([name for name in net.body.layout if name.endswith("/W") and "shortcut" not in name]) == 50
    units = Units.of(net)
    macs = sum(math.prod(net.body.layout[f"{name}/W"]) * ends.pixels for name, ends in units.weights.items())
    assert macs == 4_089_184_256  # 4.09 GFLOPs, as torchvision says of its weights


@pytest.mark.parametrize("depth", [10, 14])
def test_whole_network_gradient_in_training(depth):
    net = nets.imagenet_resnet(depth, width=2, classes=3, input_shape=(17, 20, 3))
    rng = np.random.default_rng(0)
    theta = net.init(streams(0, range(2), "init"), np.float64)
    theta.flat[...] += 0.05 * rng.normal(size=theta.flat.shape)
    check_gradient(net.body, rng.normal(size=(2, 3, 17, 20, 3)), theta=theta, training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 20}, "has a depth of 10, 14, 18, 34, 50, 101, 152, got 20"),
        ({"input_shape": (64, 64)}, r"images \(height, width, channels\) of at least 4 x 4 pixels, got \[64, 64\]"),
        ({"input_shape": (64, 64, 0)}, "takes images"),
        ({"input_shape": (3, 64, 64)}, r"takes images \(height, .*, got \[3, 64, 64\]"),  # channels first
    ],
)
def test_what_is_no_such_network_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nets.imagenet_resnet(**arguments)
    if "input_shape" in arguments:
        with pytest.raises(ValueError, match=message):
            nets.resnet(**arguments)


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_a_step_trains_and_leaves_what_is_pruned_at_0(engine):
    net = nets.imagenet_resnet(14, width=4, classes=5, input_shape=(64, 64, 3))
    rng, place = np.random.default_rng(0), Place()
    theta = net.init(place.rngs("init"))
    masks = dense_masks(theta)
    for name in theta.weights:
        masks[name][...] = rng.random(masks[name].shape) < 0.5
    running = plan(net, CLASSIFY, rewind(theta, masks), masks, lambda masks: SGD(masks, 0.1, 0.9, 1e-4), engine)
    x, labels = rng.normal(size=(1, 4, 64, 64, 3)).astype(np.float32), rng.integers(0, 5, (1, 4))
    losses = [running.step(x, labels, TrainingStep(place, step)).item() for step in range(6)]
    assert losses[-1] < losses[0]
    running.read(end := theta.copy())
    assert not end.flat[~masks.flat].any()


# Other libraries


def torchvisions(torch, depth, width, classes):
    """The architecture of torchvision's ResNet, under its names."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, channels, filters, stride, wider):
            super().__init__()
            shapes = [(channels, filters, 3, stride), (filters, filters, 3, 1)]
            if wider == 4:
                shapes = [(channels, filters, 1, 1), (filters, filters, 3, stride), (filters, 4 * filters, 1, 1)]
            for i, (into, out, kernel, step) in enumerate(shapes, start=1):
                self.add_module(f"conv{i}", nn.Conv2d(into, out, kernel, step, kernel // 2, bias=False))
                self.add_module(f"bn{i}", nn.BatchNorm2d(out))
            self.count, self.downsample = len(shapes), None
            if stride != 1 or channels != wider * filters:
                around = nn.Conv2d(channels, wider * filters, 1, stride, bias=False)
                self.downsample = nn.Sequential(around, nn.BatchNorm2d(wider * filters))

        def forward(self, x):
            y = x
            for i in range(1, self.count + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                y = torch.relu(y) if i < self.count else y
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
            channels, wider = width, 4 if depth in (14, 50) else 1
            for stage, blocks in enumerate({10: (1, 1, 1, 1), 14: (1, 1, 1, 1), 18: (2, 2, 2, 2)}[depth]):
                made = []
                for block in range(blocks):
                    made.append(Block(channels, width << stage, 2 if stage and not block else 1, wider))
                    channels = wider * (width << stage)
                self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
            self.fc = nn.Linear(channels, classes)

        def forward(self, x):
            x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
            for stage in (1, 2, 3, 4):
                x = getattr(self, f"layer{stage}")(x)
            return self.fc(x.mean(dim=(2, 3)))

    return Whole().double()


@pytest.mark.parametrize("depth", [14, 18])
def test_outputs_and_gradients_are_those_of_torchvisions_architecture(depth):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    module = torchvisions(torch, depth, 4, 7)
    net = nets.imagenet_resnet(depth, 4, 7, (50, 64, 3))
    x = np.random.default_rng(0).normal(size=(1, 3, 50, 64, 3))
    tensor = torch.from_numpy(x[0]).permute(0, 3, 1, 2)
    theta, _ = from_state_dict(net, from_torchvision(module.state_dict()))
    y, backward = net.forward(theta, x, TrainingStep(Place(), 0))
    theirs = module(tensor)
    assert y[0] == pytest.approx(theirs.detach().numpy(), abs=1e-9)
    theirs.square().sum().backward()
    backward(2 * y, (grads := theta.like(np.zeros_like(theta.flat))).tree, need_dx=False)
    named = {name: parameter.grad for name, parameter in module.named_parameters()}
    named |= {name: torch.zeros_like(value) for name, value in module.named_buffers() if "running" in name}
    expected, _ = from_state_dict(net, from_torchvision(named))
    for name in theta:
        if name not in theta.buffers:
            assert abs(grads[name] - expected[name]).max() <= 1e-8 * max(1, abs(expected[name]).max()), name
    module.eval()
    after, _ = from_state_dict(net, from_torchvision(module.state_dict()))  # running statistics, after one step
    assert net.predict(after, x)[0] == pytest.approx(module(tensor).detach().numpy(), abs=1e-9)
    assert after["norm/running_var"] == pytest.approx(theta["norm/running_var"])


def test_names_come_back_from_torchvisions():
    net = nets.imagenet_resnet(14, 2, 3)
    ours = state_dict(net, net.init(streams(0, [0], "init")))
    theirs = {"conv1.weight": "conv.weight", "bn1.running_mean": "norm.running_mean", "fc.bias": "out.bias",
              "layer1.0.conv3.weight": "stage1_block1.sum.body.conv3.weight",
              "layer4.0.bn2.bias": "stage4_block1.sum.body.norm2.bias",
              "layer3.11.bn2.bias": "stage3_block12.sum.body.norm2.bias",
              "layer2.0.downsample.0.weight": "stage2_block1.sum.shortcut.conv.weight",
              "layer2.0.downsample.1.weight": "stage2_block1.sum.shortcut.norm.weight", "other": "other"}  # fmt: skip
    assert from_torchvision(theirs) == {name: name for name in theirs.values()}
    assert {name for name in theirs.values() if "block12" not in name} - {"other"} <= ours.keys()


def test_units_count_pixels_behind_the_pool():
    net = nets.imagenet_resnet(10, 2, 3, (33, 40, 3))
    pixels = {name: ends.pixels for name, ends in Units.of(net).weights.items()}
    assert pixels["conv"] == 17 * 20 and pixels["stage1_block1/sum/body/conv1"] == 9 * 10
    theta = net.init(streams(0, [0], "init"))
    assert multiply_adds(net, dense_masks(theta)).item() == sum(
        math.prod(net.body.layout[f"{name}/W"]) * count for name, count in pixels.items()
    )


def test_onnx_predicts_the_same():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx.reference import ReferenceEvaluator

    net = nets.imagenet_resnet(10, 2, 3, (33, 40, 3))
    theta = net.init(streams(0, [0], "init"))
    x = np.random.default_rng(0).normal(size=(1, 2, 33, 40, 3)).astype(np.float32)
    model = ReferenceEvaluator(onnx.load_from_string(onnx_model(net, theta)))
    (found,) = model.run(None, {model.input_names[0]: x[0].transpose(0, 3, 1, 2)})
    assert found == pytest.approx(net.predict(theta, x)[0], abs=1e-5)
