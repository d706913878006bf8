"""`npticket export`: writes the weights of a finished run into a file for other libraries."""

import argparse
import os
from argparse import Namespace

from npticket.cli.arguments import path
from npticket.experiments.amounts import percent
from npticket.experiments.errors import StoreError
from npticket.experiments.kept import read_weights
from npticket.export import FORMATS, save_weights, shrink
from npticket.prune import dense_masks, density
from npticket.report.paper import Library

TEXT = (
    "Write the trained weights of a run that was made with `npticket run --keep-weights`, and its masks, as the same "
    "network in PyTorch has them: fc1.weight_orig and fc1.weight_mask; with --plain fc1.weight, 0 where pruned. npz "
    "and safetensors hold such a state dict, torch is a .pt file of it; onnx is a model that predicts; csr holds the "
    "survivors in compressed sparse rows, as scipy.sparse takes them, in an .npz file. --shrink cuts out the units "
    "without effect before that, which makes a network smaller that was pruned by whole units."
)


def add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to a parser."""
    add = commands.add_parser("export", help="write the weights of a run for other libraries", description=TEXT)
    add.set_defaults(command=export)
    add.add_argument("folder", type=path, metavar="DIR", help="of an experiment")
    add.add_argument("--trial", type=int, required=True, help="which network, from 0 on")
    add.add_argument("--round", type=int, required=True, help="of which training; 0 is the dense network's")
    add.add_argument("--series", default="", help="of which line (the first of the recipe)")
    add.add_argument("--to", choices=FORMATS, required=True, help="what kind of file")
    add.add_argument("--plain", action="store_true", help="npz, safetensors, torch: weights only, 0 where pruned")
    add.add_argument("--shrink", action="store_true", help="as a smaller network, without units that have no effect")
    add.add_argument("file", type=path, metavar="FILE")


def export(args: Namespace, library: Library) -> int:
    """Write the weights of one run to a file, which must not be there yet."""
    if os.path.lexists(args.file):
        raise StoreError(f"{args.file} is there already: remove it, or name another file")
    if args.plain and args.to in ("csr", "onnx"):
        raise StoreError(f"--plain is for npz, safetensors and torch; leave it out for {args.to}")
    net, theta, masks = read_weights(args.folder, library.parts, args.round, args.trial, args.series)
    said = f"{net.name} with {percent(density(masks)[0])} of its weights"
    try:
        if args.shrink:
            net, theta = shrink(net, theta, masks)
            masks = dense_masks(theta)
            for name in masks.weights:
                masks[name][...] = theta[name] != 0
            said += f", as a network of {theta.flat.size:,} parameters"
        save_weights(args.file, args.to, net, theta, None if args.plain else masks)  # a run's end is 0 where pruned
    except ValueError as error:
        raise StoreError(f"{args.folder} cannot be exported as {args.to}: {error}") from error
    print(f"{args.file}: {said}")
    return 0
