"""What Deep Compression claims of LeNets (Han, Mao & Dally 2016): sizes, rates, bits of each layer, errors.

Sizes are those of the weights, with gaps, codebooks and tables of codes, as the paper counts them, measured in files
that were written; KB are 1,000 bytes. Bits are means over entries, that is, survivors and fillers. Errors are those at
the end of training. What the paper says of AlexNet's bits is asked of LeNet-300-100, as a direction only.

A row is a claim: id and sentence; source, the number that is judged, what the paper says, form, ends and why these.
"""

from functools import partial

from npticket.papers.deep_compression.measures import CLUSTERED, CODED, DENSE, FILE, PRUNED, QUANTISED
from npticket.papers.deep_compression.numbers import (
    at_the_last,
    column,
    error,
    fewer,
    kilobytes,
    more,
    of_ticket,
    saved,
    share_of,
    times_smaller,
    with_bits,
)
from npticket.papers.deep_compression.recipes import LENET, LENET_5
from npticket.papers.lottery_ticket.claims.words import LEVEL, PERCENT, THIRD, TIMES
from npticket.report.claims import Claim

PRINTED, ROUNDED, TENTH, IMAGES = "as printed", "as printed, rounded", "a tenth of a point", "two images"
CHOSEN = "as printed, rounded; thresholds were chosen on trial 0 for that"
ERROR = "{:+.2f} points of error"
KB, BITS, NOBODYS = "{:.1f} KB", "{:.1f} bits", "no paper: asked here"
LAYERS = {  # bits of a value and of a gap with Huffman codes, and percent of a layer's 32-bit weights (Tables 2 and 3)
    LENET.name: {"fc1/W": (4.4, 3.7, 2.32), "fc2/W": (4.4, 4.3, 3.04), "out/W": (4.3, 3.2, 12.70)},
    LENET_5.name: {"conv1/W": (7.2, 1.5, 67.45), "conv2/W": (7.2, 3.9, 5.28), "fc1/W": (4.5, 4.5, 2.45),
                   "out/W": (5.2, 3.7, 6.13)},
}  # fmt: skip


# fmt: off
def _of_stages(
    recipe: str, errors: tuple[float, float], size: float, rates: tuple[float, float], percents: tuple[float, float]
) -> list[Claim]:
    """The claims of Table 1 and of the tables of stages about a network.

    `errors`, in percent, are those of the dense and of the compressed network, `size` is in KB;
    `rates` are how many times smaller it is with shared values, and with Huffman codes, `percents` how large of its
    dense size, with a digit more.
    """
    (shared, coded), spared = rates, 100 * (1 - percents[1] / percents[0])
    claim, last, name, (dense, compressed) = partial(Claim, (recipe,)), partial(at_the_last, recipe), recipe, errors
    return [
        claim(f"{name}-dense", f"the dense network's error is at most {dense:.2f} %", "Table 1",
            last(error(DENSE)), f"{dense:.2f} %", LEVEL, high=dense, because=PRINTED),
        claim(f"{name}-fewer", "12 times fewer weights are kept", "Table 1; Han et al. 2015, Table 1",
            last(fewer), "12 times", TIMES, 11.5, ratio=True, because=CHOSEN),
        claim(f"{name}-pruned", "pruning to that costs nothing", "Han et al. 2015, Table 1",
            last(more(PRUNED, DENSE)), "≤ 0", ERROR, high=0.1, because=TENTH),
        claim(f"{name}-shared-rate", f"with shared values the network is {shared:.0f} times smaller", "Tables 2 and 3",
            last(times_smaller(QUANTISED)), f"{shared:.0f} times", TIMES, shared - 0.5, ratio=True, because=CHOSEN),
        claim(f"{name}-shared", "shared values, trained, cost nothing more", "§1, Figure 1",
            last(more(QUANTISED, PRUNED)), "0", ERROR, high=0.1, because=TENTH),
        claim(f"{name}-trained", "training the shared values does no harm", "§3",
            last(more(QUANTISED, CLUSTERED)), "≤ 0", ERROR, high=0.02, because=IMAGES),
        claim(f"{name}-rate", f"with Huffman codes the network is {coded:.0f} times smaller", "Table 1",
            last(times_smaller(CODED)), f"{coded:.0f} times", TIMES, coded - 0.5, ratio=True, because=CHOSEN),
        claim(f"{name}-size", f"with Huffman codes the network has {size:.0f} KB", "Table 1",
            last(kilobytes(CODED)), f"{size:.0f} KB", KB, high=size + 0.5, ratio=True, because=CHOSEN),
        claim(f"{name}-file", f"the whole file, with all else that is in it, biases too, has {size:.0f} KB",
            "Table 1, which counts weights", last(kilobytes(CODED, FILE)), f"{size:.0f} KB", KB, high=size + 0.5,
            ratio=True, because=ROUNDED),
        claim(f"{name}-error", f"the compressed network's error is at most the paper's dense one's, {dense:.2f} %",
            "Table 1", last(error(CODED)), f"{dense:.2f} %", LEVEL, high=dense, because=PRINTED),
        claim(f"{name}-error-compressed", f"the compressed network's error is at most the paper's, {compressed:.2f} %",
            "Table 1", last(error(CODED)), f"{compressed:.2f} %", LEVEL, high=compressed, because=PRINTED),
        claim(f"{name}-lossless", "the whole compression costs nothing", "Table 1",
            last(more(CODED, DENSE)), "≤ 0", ERROR, high=0.1, because=TENTH),
        claim(f"{name}-huffman", f"Huffman codes save {spared:.1f} % of what was left", "Tables 2 and 3",
            last(saved), f"{spared:.1f} %", PERCENT, 2 / 3 * spared, because=THIRD),
    ]


def _of_layers(recipe: str, name: str, table: str) -> list[Claim]:
    """The claims of a network's table about its layers."""
    claim, last, claims = partial(Claim, (recipe,)), partial(at_the_last, recipe), list[Claim]()
    for key, (value, gap, percent) in LAYERS[recipe].items():
        layer = key.removesuffix("/W")
        claims += [
            claim(f"{name}-{layer}-{what}", f"a {what} of {layer} takes {bits} bits", table,
                last(column(f"{what}_bits", key)), f"{bits} bits", BITS, bits - 0.5, bits + 0.5, because="half a bit")
            for what, bits in (("value", value), ("gap", gap))
        ]
        claims.append(claim(f"{name}-{layer}-rate", f"compressed, {layer} takes {percent} % of its dense size", table,
            last(share_of(key)), f"{percent} %", PERCENT, high=1.25 * percent, ratio=True,
            because="a quarter: which part is kept is printed in whole percents"))
    return claims


bits = partial(Claim, (LENET.name,))
BITS_CLAIMS = [
    bits("compression-bits-5", "of 8 bits a value 5 are enough", "Table 6, AlexNet's dense layers",
        lambda v: with_bits(v, 5) - with_bits(v, 8), "0", ERROR, high=0.1, because=TENTH),
    bits("compression-bits-2", "with 2 bits the error is no more than half a point above that with 8",
        "Figure 7, AlexNet's dense layers hold to 2 bits", lambda v: with_bits(v, 2) - with_bits(v, 8), "0", ERROR,
        high=0.5, because="a quarter of AlexNet's loss at 4 and 2 bits, Table 6"),
    bits("compression-bits-1", "with 1 bit a value the network is less accurate than with 2",
        "Figure 7, AlexNet's dense layers", lambda v: with_bits(v, 1) - with_bits(v, 2), "> 0", ERROR, 0, strict=True),
    bits("compression-bits-pruned", "the pruned network with 5 bits is as accurate as the dense one with 5 bits",
        "Figure 7, from memory", lambda v: with_bits(v, 5) - with_bits(v, 5, pruned=False), "0", ERROR,
        high=0.1, because=TENTH),
    bits("compression-both", "near 3 % of the size pruned with 6 bits is more accurate than dense with 1 bit",
        "Figure 6, AlexNet", lambda v: with_bits(v, 6) - with_bits(v, 1, pruned=False), "< 0", ERROR, high=0,
        strict=True),
    *(bits(f"compression-linear-{start}{mark}", f"with {b} bits the linear start is more accurate than the {words} one",
        "§6.2, AlexNet", lambda v, b=b, start=start: with_bits(v, b) - with_bits(v, b, start), "< 0", ERROR, high=0,
        strict=True)
      for b, mark in ((2, ""), (4, "-4")) for start, words in (("random", "random"), ("density", "density-based"))),
    bits("compression-training", "with 2 bits training the shared values makes them more accurate", "§3",
        lambda v: with_bits(v, 2) - with_bits(v, 2, what="before"), "< 0", ERROR, high=0, strict=True),
]
TICKETS = [
    claim
    for recipe in (LENET.name, LENET_5.name)
    for claim in (
        Claim((recipe,), f"{recipe}-ticket-exact", "a ticket comes back from its mask and seed to the bit", NOBODYS,
            of_ticket(recipe, lambda rows: 100 * rows[0]["exact"]), "100 %", PERCENT, 100, because="exact"),
        Claim((recipe,), f"{recipe}-ticket-smaller", "a ticket's file has half the bytes of the compressed network",
            NOBODYS, lambda v, recipe=recipe: of_ticket(recipe, lambda rows: rows[0]["bytes"] / 1000)(v)
            / at_the_last(recipe, kilobytes(CODED, FILE))(v), "0.5 times", TIMES, high=0.55, ratio=True,
            because="gaps are half of the bits in Table 2"),
        Claim((recipe,), f"{recipe}-ticket-entropy", "a ticket's file is smaller than masks that are random in each "
            "layer would take", NOBODYS, of_ticket(recipe, lambda rows: rows[0]["bytes"] / rows[0]["entropy"]),
            "< 1", TIMES, high=1, strict=True, ratio=True),
    )
]

CLAIMS = [
    *_of_stages(LENET.name, (1.64, 1.58), 27, (32, 40), (3.1, 2.49)), *_of_layers(LENET.name, LENET.name, "Table 2"),
    *_of_stages(LENET_5.name, (0.80, 0.74), 44, (33, 39), (3.05, 2.55)),
    *_of_layers(LENET_5.name, LENET_5.name, "Table 3"),
    *BITS_CLAIMS, *TICKETS,
]
