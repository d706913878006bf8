"""The networks, each made by a short function that returns a Net: a function of its parameters."""

from npticket.nets.bert import bert, bert_from
from npticket.nets.detector import detector, detector_backbone
from npticket.nets.encoder import Encoder, Sizes
from npticket.nets.lenet import lenet_5, lenet_300_100
from npticket.nets.mlp import mlp
from npticket.nets.net import Net
from npticket.nets.resnet import imagenet_resnet, resnet, resnet_18
from npticket.nets.vgg import conv_2, conv_4, conv_6, vgg_19

__all__ = [
    "Encoder", "Net", "Sizes", "bert", "bert_from", "conv_2", "conv_4", "conv_6", "detector",
    "detector_backbone", "imagenet_resnet", "lenet_5", "lenet_300_100", "mlp", "resnet", "resnet_18", "vgg_19",
]  # fmt: skip
