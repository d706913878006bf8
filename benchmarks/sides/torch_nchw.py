"""PyTorch eager with images in its default layout, channels first: what convolutional networks get unless one asks."""

from sides import torch_eager


class Training(torch_eager.Training):
    """One network in training; see sides/__init__.py."""

    channels_last = False
