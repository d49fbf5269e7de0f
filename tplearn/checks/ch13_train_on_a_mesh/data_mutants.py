"""What the wrong answers to exercise 13.1 show: data by the wrong number, orders that differ, and an epoch's end."""

from tplearn.checks.ch13_train_on_a_mesh.data_wrong import wrong_data_rank
from tplearn.checks.exercise import mutants_of

ROW = "the number that picks the share: the row, rank // tp."
SEED = "the seed: epoch, on every rank."

MUTANTS = mutants_of(
    wrong_data_rank,
    (
        "cut over all ranks",
        "You cut each batch over all dp · tp ranks. The ranks of a tp group hold shards of one model, and a shard of a "
        "matrix multiplies all of x: what they compute from different windows fits to no model. Nothing fails, and "
        "every rank prints the same loss.",
        ROW,
    ),
    (
        "cut over tp",
        "You cut each batch over the columns. So the ranks of a tp group read different windows, where each of them "
        "has only a shard of the model; and the ranks of a dp group, which hold copies, read the same ones.",
        ROW,
    ),
    (
        "rows taken for columns",
        "You took rank % dp for the row: that is a mesh whose neighbours stand below each other. Here the last name, "
        "tp, is the one whose ranks are neighbours: ranks 0 to tp − 1 are row 0.",
        ROW,
    ),
    (
        "rank divided by dp",
        "You took rank // dp for the row. A row has tp ranks: rank r is in row r // tp.",
        ROW,
    ),
    (
        "rank for the row",
        "You share each batch out over dp rows, and pick the share by the rank. On a mesh the rank is not the row: "
        "with tp = 2, ranks 2 and 3 are row 1.",
        ROW,
    ),
    (
        "row of all ranks",
        "You pick by the row, but make dp · tp shares. Most of each batch is read by nobody: only dp different shares "
        "are there to be picked.",
        "the number of shares: dp. A DistributedSampler asks for it too (num_replicas), and takes all ranks by itself.",
    ),
    (
        "everything everywhere",
        "Every rank reads the whole batch. The mean over the rows is right then, but each row does all the work.",
        "the share of a row: batch / dp windows at each step.",
    ),
    (
        "row 0's",
        "All rows read the same share. The rest of the batch is read by nobody: the mean over dp is row 0's gradient.",
        ROW,
    ),
    (
        "seed + rank",
        "Each rank has an order of its own: from a seed of its own, or from none. Then the ranks of a tp group read "
        "different windows, and the rows together read some windows twice and others never.",
        SEED,
    ),
    (
        "seed + row",
        "Each row shuffles with a seed of its own. Within a tp group all is well, but the rows cut different orders: "
        "together they read some windows twice, others never, and not the dense run's batch.",
        SEED,
    ),
    (
        "one order for all epochs",
        "Your order does not depend on the epoch: every epoch goes through the text in the same order. A "
        "DistributedSampler does this where set_epoch was forgotten.",
        SEED,
    ),
    (
        "not shuffled",
        "You read the windows in the order of the text. Which windows are in a batch is said by the shuffled order.",
        "order[i], where you have i.",
    ),
    (
        "epoch cut in runs",
        "You cut the whole epoch into dp runs, and each row goes through its own. Every window is read once, but the "
        "rows together never read the batch that the dense run reads at that step.",
        "what is cut: each batch, order[step · batch : (step + 1) · batch].",
    ),
    (
        "whole batches in turn",
        "The rows take whole batches in turn. A step of the dense run is one batch: all rows share it, and their mean "
        "is that batch's gradient.",
        "the share of a row: batch / dp windows at each step, of the same batch.",
    ),
    (
        "a batch for each row",
        "Each row reads `batch` windows at a step, so that a step takes dp · batch of them. `batch` is what all rows "
        "read together.",
        "the share of a row: batch / dp windows at each step.",
    ),
    (
        "rest kept",
        "You have one step more: a short one, of the windows that do not fill a batch. They are dropped.",
        "the number of steps: windows // batch.",
    ),
    (
        "filled up from the front",
        "You have one step more, filled up with windows from the front of the order, as a DistributedSampler does by "
        "itself. Here what does not fill a batch is dropped.",
        "the number of steps: windows // batch.",
    ),
    (
        "rows dealt first",
        "You deal the epoch out to the rows, and each row counts the steps of what it has. Where windows are left "
        "over, some rows have enough of them for one step more than others: they would wait in its first collective "
        "for ranks that have gone on to the next epoch.",
        "the number of steps, the same for all rows: windows // batch.",
    ),
    (
        "last batch lost",
        "Where the windows fill the last batch exactly, you have one step too few: that batch counts, too.",
        "the number of steps: windows // batch.",
    ),
    (
        "first batch again",
        "Every step has the windows of the first one.",
        "where a step begins in the order: at step · batch.",
    ),
    (
        "one step",
        "You return the windows of one step. A list of all steps of the epoch is due.",
        "the loop over steps.",
    ),
    (
        "all steps in one",
        "Your windows are right, in one flat list. Each step has a list of its own.",
        "the result: [[windows of step 0], [windows of step 1], ...].",
    ),
    (
        "columns in another order",
        "The ranks of a tp group read the same windows, but not in the same order. Row 0 of x is then another window "
        "on each of them, and the partials that they add up belong to different texts.",
        "what depends on the rank beside its row: nothing may.",
    ),
)
