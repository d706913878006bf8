"""Datasets as arrays: found on this machine or downloaded, checked, split, and put in minibatch order."""

from npticket.datasets.annotations import Annotated, as_targets, left_out
from npticket.datasets.bccd import bccd
from npticket.datasets.cifar import cifar10, cifar100
from npticket.datasets.coco import read_coco
from npticket.datasets.crops import ResizedCrop
from npticket.datasets.dataset import DataError, Dataset, Split
from npticket.datasets.download import cache_folder
from npticket.datasets.epoch import Augment, FlipAndCrop, epoch_order
from npticket.datasets.image_folder import image_folder
from npticket.datasets.images import images
from npticket.datasets.lazy import Lazy, rows_of
from npticket.datasets.mnist import fashion_mnist, mnist
from npticket.datasets.own import arrays
from npticket.datasets.scenes import digit_scenes
from npticket.datasets.shared import Shared
from npticket.datasets.table import csv_table
from npticket.datasets.texts import sst2, subj, trec
from npticket.datasets.voc import read_voc

__all__ = [
    "Annotated", "Augment", "DataError", "Dataset", "FlipAndCrop", "Lazy", "ResizedCrop", "Shared", "Split", "arrays",
    "as_targets", "bccd", "cache_folder", "cifar10", "cifar100", "csv_table", "digit_scenes", "epoch_order",
    "fashion_mnist", "image_folder", "images", "left_out", "mnist", "read_coco", "read_voc", "rows_of", "sst2", "subj",
    "trec",
]  # fmt: skip
