"""What the wrong answers to exercise 13.6 show: what was left behind, what was not cut, what was counted twice."""

from tplearn.checks.ch13_train_on_a_mesh.reshard_wrong import wrong_reshard_run
from tplearn.checks.exercise import mutants_of

STATE = "new_optimizer.state[parameter]: what the old state has, each tensor joined and cut anew."
CUT = "the way of each tensor: old_cut.full_tensor(x), then new_cut.shard(dense)."

MUTANTS = mutants_of(
    wrong_reshard_run,
    (
        "weights alone",
        "You moved the weights, and nothing of the optimizer. The next loss is right, and the steps after it are "
        "those of a run that has just begun: no momentum, no second moments, another learning rate.",
        STATE,
    ),
    (
        "weights and rates",
        "You moved the weights and the learning rates; the optimizer's state is empty. The next loss is right, and "
        "the steps after it are those of a run that has just begun.",
        STATE,
    ),
    (
        "weights not cut",
        "You copied the old shards into the new parameters as they are. On another mesh a rank has other rows, and "
        "the shapes differ.",
        CUT,
    ),
    (
        "weights joined and not cut",
        "You joined the old shards and copied the dense tensor: the new parameter has room for this rank's shard.",
        CUT,
    ),
    (
        "weights left",
        "You left the weights: the new model has its first, random ones.",
        "each parameter of the new model.",
    ),
    (
        "moments fresh",
        "The step counter came along, but the moments are zero. AdamW then believes that it has averaged for many "
        "steps, and does not correct for a beginning from zero.",
        STATE,
    ),
    (
        "second moment lost",
        "The first moments came along, the second ones are zero. AdamW divides by their root: the next step is much "
        "too large.",
        STATE,
    ),
    (
        "moments exchanged",
        "First and second moments are exchanged.",
        "the names under which you put what you moved.",
    ),
    (
        "step counter lost",
        "The moments came along, but AdamW counts its steps from 0 again. Its correction for the first steps then "
        "makes the moments larger than they are: for the first by 1 / (1 − β).",
        "state['step'], a tensor of no dimension: it is not cut, and it is not left out.",
    ),
    (
        "one step ahead",
        "AdamW's step counter is one too large. It counts the steps that were made.",
        "state['step'], as it is.",
    ),
    (
        "step joined",
        "You joined everything in the state, the step counter too. It is one number, the same on every rank, and no "
        "shard of anything: full_tensor refuses it.",
        "state['step'], a tensor of no dimension: clone it.",
    ),
    (
        "step shared",
        "Old and new run share a tensor. What needs no joining was handed over as it is, AdamW's step counter most "
        "likely: a step of the new run then changes the old one. (load_state_dict keeps that tensor, too.)",
        "what your function returns for a tensor that is not cut: a clone.",
    ),
    (
        "step taken for granted",
        "You asked for state['step'] where there is none: SGD counts no steps, and a parameter that has had no "
        "gradient yet has no state at all.",
        "the loop over the state: all its items, whatever they are.",
    ),
    (
        "moment taken for granted",
        "You asked for state['exp_avg'] where there is none: SGD has momentum_buffer, and a parameter that has had no "
        "gradient yet has no state at all.",
        "the loop over the state: all its items, whatever they are.",
    ),
    (
        "first group's rate",
        "Every group of the new optimizer has the learning rate of the old one's first group.",
        "param_groups: each group's own.",
    ),
    (
        "rates left",
        "Weights and state are right, but the new optimizer has the learning rate that it was made with. A schedule "
        "has changed it in the old run.",
        "param_groups: everything in a group but its parameters.",
    ),
    (
        "groups with the old parameters",
        "The new optimizer's groups hold the old model's parameters: its steps change the old model, and the new one "
        "stays as it is.",
        "param_groups: everything in a group but its parameters.",
    ),
    (
        "state not cut",
        "You gave the new optimizer the old state as it is. A moment has the shape of this rank's old shard: on "
        "another mesh the parameter has another one.",
        CUT,
    ),
    (
        "state joined and not cut",
        "You joined the moments and left them whole: a moment must have the shape of this rank's new shard.",
        CUT,
    ),
    (
        "rank 0's shards",
        "Every rank has the shards of rank 0: one rank's were sent to all. Where shapes are alike nothing complains.",
        CUT,
    ),
    (
        "shards side by side",
        "You put the old shards side by side and cut that in equal runs. A fused QKV shard is queries, keys, values; "
        "copied KV heads are there several times; the words' padding belongs to nobody. The Partition knows all that.",
        CUT,
    ),
    (
        "copies added",
        "You added up what the ranks of a row have. Copies are one parameter: KV heads and norms became tp times too "
        "large.",
        "the join: of each copy one. old_cut.full_tensor(x) sees to that.",
    ),
    (
        "added up over dp too",
        "You added up over all ranks. The rows are copies of each other: everything became dp times too large.",
        "the group of the join: the old tp group, which old_cut.full_tensor(x) asks by itself.",
    ),
    (
        "plain modules left out",
        "What belongs to the ordinary module, score, was not moved. Its Partition is None: it is the same on every "
        "rank, and moves as it is.",
        "parameters whose partition is None.",
    ),
    (
        "None cut",
        "The partition of an ordinary module's parameter, of score here, is None: it cannot cut anything. Such a "
        "parameter is the same on every rank, and moves as it is.",
        "parameters whose partition is None.",
    ),
    (
        "None joined",
        "The partition of an ordinary module's parameter, of score here, is None: it cannot join anything. Such a "
        "parameter is the same on every rank, and moves as it is.",
        "parameters whose partition is None.",
    ),
    (
        "two moments by name",
        "You moved step, exp_avg and exp_avg_sq, whatever the optimizer has. With amsgrad there is a third tensor, and "
        "SGD has only momentum_buffer.",
        "the loop over the state: all its items.",
    ),
    (
        "state under names",
        "You put the state under the parameters' names. An optimizer looks for it under the parameter itself, finds "
        "nothing, and begins anew.",
        "the key of new_optimizer.state: the parameter.",
    ),
)
