"""Datasets as arrays: found on this machine or downloaded, checked, split, and put in minibatch order."""

from npticket.datasets.cifar import cifar10, cifar100
from npticket.datasets.dataset import DataError, Dataset, Shared, Split
from npticket.datasets.download import cache_folder
from npticket.datasets.epoch import Augment, FlipAndCrop, epoch_order
from npticket.datasets.images import image_folder
from npticket.datasets.mnist import fashion_mnist, mnist
from npticket.datasets.own import arrays
from npticket.datasets.table import csv_table

__all__ = ["Augment", "DataError", "Dataset", "FlipAndCrop", "Shared", "Split", "arrays", "cache_folder", "cifar10",
           "cifar100", "csv_table", "epoch_order", "fashion_mnist", "image_folder", "mnist"]  # fmt: skip
