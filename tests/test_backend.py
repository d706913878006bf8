"""Device and host never mix: checked with a strict stand-in for CuPy, and with CuPy itself where there is a GPU."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from cases import paper_rates, set_to
from hypothesis import given, settings
from on_device import why_no_gpu
from strict import StrictArray, strict

from npticket import backend
from npticket.prune import Evidence, dense_masks, magnitude, prune_globally, prune_layerwise, random_scores
from npticket.streams import streams
from npticket.testing.strategies import fits
from npticket.tickets import rewind
from npticket.train import fit


@settings(max_examples=20)
@given(fits())
def test_training_on_the_strict_device_is_training_on_the_host(case):
    host = fit(**set_to(case, engine="plain"))
    there = {name: case[name].to(strict) for name in ("start", "masks")}
    device = fit(**set_to(case, engine="plain") | there)
    assert isinstance(device.end.flat, StrictArray)
    assert (device.end.flat.get() == host.end.flat).all()
    assert (device["val_loss"] == host["val_loss"]).all()
    assert (device["final_test_acc"] == host["final_test_acc"]).all()


@settings(max_examples=20)
@given(fits())
def test_pruning_and_rewinding_on_the_strict_device_are_those_on_the_host(case):
    theta, masks, rates = case["start"], case["masks"], paper_rates(case["net"])
    there, masks_there = theta.to(strict), masks.to(strict)
    rngs = [streams(0, range(theta.trials), "mask") for _ in range(2)]
    sizes, sizes_there = magnitude(Evidence(theta, masks)), magnitude(Evidence(there, masks_there))
    for host, device in (
        (prune_layerwise(sizes, masks, rates), prune_layerwise(sizes_there, masks_there, rates)),
        (prune_globally(sizes, masks, 0.3, rates), prune_globally(sizes_there, masks_there, 0.3, rates)),
        (random_scores(theta, rngs[0]), random_scores(there, rngs[1])),
        (rewind(theta, masks), rewind(there, masks_there)),
        (dense_masks(theta), dense_masks(there)),
    ):
        assert isinstance(device.flat, StrictArray)
        assert (device.flat.get() == host.flat).all()


def test_the_stand_in_refuses_to_mix():
    """What CuPy refuses, and the copying of an index array, which CuPy does in silence."""
    device, host = strict.asarray(np.ones(3)), np.ones(3)
    for mix in (
        lambda: device + host,
        lambda: host + device,
        lambda: device[host.astype(int)],
        lambda: np.asarray(device),
        lambda: strict.where(device > 0, host, 0),
        lambda: device.dot(host),
    ):
        with pytest.raises(TypeError):
            mix()
    assert ((device + 1).get() == 2).all()


def test_mixed_arrays_are_named():
    with pytest.raises(TypeError, match=r"got numpy\.ndarray and strict\.StrictArray: move them together"):
        backend.array_module(np.ones(1), strict.asarray(np.ones(1)))
    with pytest.raises(TypeError, match=r"got builtins\.list"):
        backend.array_module([1, 2])
    assert backend.array_module(np.ones(1)) is np


@given(fits())
@settings(max_examples=5)
def test_masks_on_the_host_for_parameters_on_the_device_are_refused(case):
    with pytest.raises(TypeError, match="move them together"):
        fit(**case | {"start": case["start"].to(strict)})


def test_backends_by_name():
    assert backend.load("numpy") is np
    with pytest.raises(ValueError, match="'numpy' or 'cupy', not 'jax'"):
        backend.load("jax")


def test_cupy_is_asked_for_in_words_where_it_is_missing_or_cannot_be_loaded(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.12')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"npticket\[cuda12x\] or npticket\[cuda13x\].*libnvrtc"):
        backend.load("cupy")


class FakeCuPy(ModuleType):
    """What `load` asks of CuPy, and what may go wrong."""

    __version__ = "14.0"

    class CUDARuntimeError(RuntimeError):
        pass

    def __init__(self, devices=1, ones=np.ones, built_for=13):
        super().__init__("cupy")
        self.ndarray = type("ndarray", (), {})
        self.ones = lambda *arguments: strict.asarray(ones(*arguments))
        self.limits = []
        self.get_default_memory_pool = lambda: SimpleNamespace(set_limit=lambda size: self.limits.append(size))
        self._devices = devices
        versions = {"runtimeGetVersion": lambda: 1_000 * built_for, "driverGetVersion": lambda: 12_040}
        names = {"getDeviceCount": self._count, "CUDARuntimeError": self.CUDARuntimeError, **versions}
        names |= {
            "memGetInfo": lambda: (1_000, 4_000),
            "getDevice": lambda: 0,
            "getDeviceProperties": lambda device: {"name": b"NVIDIA Fake"},
        }
        self.math_modes = []
        self.cuda = SimpleNamespace(
            runtime=SimpleNamespace(**names),
            cublas=SimpleNamespace(setMathMode=lambda handle, mode: self.math_modes.append((handle, mode))),
            device=SimpleNamespace(get_cublas_handle=lambda: 7),
        )

    def _count(self):
        if self._devices is None:
            raise self.CUDARuntimeError("cudaErrorInsufficientDriver: driver version is insufficient")
        return self._devices


def broken(*_):
    raise OSError("libcublas.so.13: cannot open shared object file")


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (FakeCuPy(devices=None), "finds no usable GPU: cudaErrorInsufficientDriver"),
        (FakeCuPy(devices=0), "finds no GPU; use the numpy backend"),
        (
            FakeCuPy(ones=broken),
            r"CuPy 14.0 cannot compute .* built for CUDA 13, the driver supports CUDA 12; .* newer than the .*cublas",
        ),
        (FakeCuPy(ones=broken, built_for=12), "for CUDA 12, the driver supports CUDA 12; install CUDA's libraries"),
    ],
)
def test_a_gpu_that_does_not_work_is_an_error_in_words(cupy, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(RuntimeError, match=message):
        backend.load("cupy")


@pytest.fixture
def fake(monkeypatch):
    cupy = FakeCuPy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(backend, "_modules", dict(backend._modules))
    return cupy


def test_what_is_tried_is_a_product_in_float32_and_its_way_back(fake):
    class WithoutProducts(StrictArray):
        __matmul__ = broken

    class WithoutWayBack(StrictArray):
        __matmul__ = sum = lambda array, *_: array
        get = broken

    asked = []
    for kind in (WithoutProducts, WithoutWayBack):
        fake.ones = lambda shape, dtype, kind=kind: asked.append(dtype) or kind(np.ones(shape, dtype))
        with pytest.raises(RuntimeError, match=r"cannot compute on this GPU.*libcublas"):
            backend.load("cupy")
    assert asked == ["float32"] * 2


def test_of_several_gpus_the_one_in_use_is_named(fake):
    fake.cuda.runtime.getDevice = lambda: 1
    fake.cuda.runtime.getDeviceProperties = [{"name": b"first"}, {"name": b"second"}].__getitem__
    assert backend.described("cupy")["gpu"] == "second"


def test_a_gpu_that_works_is_taken(fake):
    assert backend.load("cupy") is fake
    assert backend.array_module(fake.ndarray()) is fake
    assert fake.limits == [950]  # of what is free


@pytest.mark.parametrize(("variable", "on"), [(None, False), ("0", False), ("1", True)])
def test_tf32_is_used_only_where_asked_for_and_said(variable, on, fake, monkeypatch):
    monkeypatch.delenv("CUPY_TF32", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUPY_TF32", variable)
    backend.load("cupy")
    assert fake.math_modes == ([(7, 3)] if on else [])
    assert backend.described("cupy") == {"gpu": "NVIDIA Fake", "cupy": "14.0", "cuda": 13_000, "tf32": on}
    assert backend.described("numpy") == {}


def test_tf32_is_on_or_off(fake, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "true")
    with pytest.raises(RuntimeError, match="CUPY_TF32 is 0 or 1, not 'true'"):
        backend.load("cupy")


def test_a_card_whose_memory_is_taken_is_no_wrong_cuda(monkeypatch):
    def full(*_):
        raise MemoryError("out of memory")

    monkeypatch.setitem(sys.modules, "cupy", FakeCuPy(ones=full))
    with pytest.raises(MemoryError, match="out of memory"):
        backend.load("cupy")


@pytest.mark.parametrize(
    ("cupy", "why"),
    [(None, "cannot be imported"), (FakeCuPy(0), "finds no GPU"), (FakeCuPy(None), "no usable GPU"), (FakeCuPy(), "")],
)
def test_whether_there_is_a_gpu_is_asked_of_cupy_alone(cupy, why, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(backend, "load", None)
    found = why_no_gpu()
    assert why in found and bool(found) == bool(why)


@settings(max_examples=5)
@given(fits())
def test_training_on_a_gpu_agrees_with_the_host(case):
    if why := why_no_gpu():
        pytest.skip(f"no GPU here: {why}")
    xp = backend.load("cupy")
    host = fit(**set_to(case, engine="plain"))
    device = fit(**case | {"start": case["start"].to(xp), "masks": case["masks"].to(xp)})
    np.testing.assert_allclose(backend.to_host(device.end.flat), host.end.flat, rtol=1e-9, atol=1e-9)
