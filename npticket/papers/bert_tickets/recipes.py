"""Chen et al.'s experiment, on an encoder that two cores can fine-tune, for three tasks.

The paper has BERT-base on GLUE, a learning rate of 2e-5, 3 epochs, batches of 32, 128 word pieces and 5 runs. Epochs
and batches are the same here; the learning rate is ours, as smaller encoders need larger ones, and so is the warm-up;
there are 64 pieces and 3 trials. The paper prunes BERT's pooler, too, which this encoder does not have. SST-2 are the
6,920 whole sentences, where GLUE has 67,349 phrases of them: 3 epochs are a tenth of the paper's steps. The optimizer
clips gradients to a norm of 1 and decays everything, layer norms and biases too, by 0.01; there is no dropout. What the
paper has of these is not known here.
"""

from dataclasses import replace

from npticket.experiments.recipe import Part, Recipe
from npticket.papers.bert_tickets.other_tasks import TASKS, TRANSFER
from npticket.papers.bert_tickets.scope import OF_ALL
from npticket.papers.bert_tickets.series import SERIES
from npticket.papers.lottery_ticket.series import TICKET

WEIGHTS = "minilm/paraphrase-MiniLM-L3-v2.f16.safetensors"
SHA256 = "5a6645fd7046738cd6873a26b83e17fa2ac7dfd0c5bc2194fde16b256ff564ae"
NAME = "MiniLM-L3 (not BERT-base: distilled, tuned for sentences, no language-model head)"
SOURCE = "after Chen et al. 2020, Table 2 and Figure 4, on MiniLM-L3"
EPOCHS = 3
EPOCH = {"trec": 154, "sst2": 216, "subj": 250}  # steps of 32 sentences


def _of(task: str) -> Recipe:
    classes, pieces = TASKS[task]
    steps = EPOCHS * EPOCH[task]
    return Recipe(
        name=f"bert-{task}", source=SOURCE, data=Part(task),
        net=Part("bert", weights=WEIGHTS, sha256=SHA256, text=task, classes=classes, pieces=pieces, called=NAME),
        optimizer=Part("clipped_adamw", lr=1e-4), schedule=Part("linear_decay", steps=steps, warmup=steps // 10),
        # All six matrices of all layers together, a tenth of the original weights a round: 10 % are left in the end.
        prune=Part("magnitude", scope=OF_ALL, rates={"layer*/W": 0.1}),
        batch=32, steps=steps, rounds=10, trials=3, validate_every=EPOCH[task] // 2, series=(TICKET, *SERIES, TRANSFER),
    )  # fmt: skip


TREC = _of("trec")
LATE = replace(
    TREC, name="bert-trec-late", source="after Chen et al. 2020, section 4.1, on MiniLM-L3: rewinding later",
    rewind_step=TREC.steps // 10, series=(TICKET,),
)  # fmt: skip
OF_TASKS = {"TREC": TREC, "SST-2": _of("sst2"), "Subj": _of("subj")}
RECIPES = {recipe.name: recipe for recipe in (*OF_TASKS.values(), LATE)}
