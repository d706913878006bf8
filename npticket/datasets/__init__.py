"""Datasets as arrays: found on this machine or downloaded, checked, split, and put in minibatch order."""

from npticket.datasets.cifar import cifar10, cifar100
from npticket.datasets.dataset import DataError, Dataset, Shared, Split
from npticket.datasets.download import cache_folder
from npticket.datasets.epoch import Augment, FlipAndCrop, epoch_order
from npticket.datasets.mnist import fashion_mnist, mnist
from npticket.datasets.texts import sst2, subj, trec

__all__ = ["Augment", "DataError", "Dataset", "FlipAndCrop", "Shared", "Split", "cache_folder", "cifar10", "cifar100",
           "epoch_order", "fashion_mnist", "mnist", "sst2", "subj", "trec"]  # fmt: skip
