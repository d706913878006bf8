"""Datasets as arrays: found on this machine or downloaded, checked, split, and put in minibatch order."""

from npticket.datasets.augment import Augment, Changes, FlipAndCrop
from npticket.datasets.cifar import cifar10, cifar100
from npticket.datasets.dataset import DataError, Dataset, Split
from npticket.datasets.mnist import fashion_mnist, mnist
from npticket.datasets.order import epoch_order

__all__ = [
    "Augment",
    "Changes",
    "DataError",
    "Dataset",
    "FlipAndCrop",
    "Split",
    "cifar10",
    "cifar100",
    "epoch_order",
    "fashion_mnist",
    "mnist",
]
