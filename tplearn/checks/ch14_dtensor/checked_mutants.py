"""What the wrong answers to exercise 14.1 show."""

from functools import partial

from tplearn.checks.ch14_dtensor.checked_wrong import (
    by_name,
    checked,
    last_name,
    layer_0,
    leaves_only,
    no_pattern,
    over_dots,
    parameters_too,
    trusting,
    warnings_raised,
)
from tplearn.checks.exercise import Mutant


def _wrong(name: str, says: str, look_at: str, **how: object) -> Mutant:
    return Mutant(name, partial(checked, wrong=name, **how), says, look_at)


MUTANTS = (
    Mutant(
        "PyTorch's own",
        trusting,
        "Nothing is refused: the keys that match are applied, and the others have no effect. That is what "
        "parallelize_module does by itself, with a warning. The module stays whole, every number stays right, and only "
        "the ledger would tell.",
        "what has to happen before parallelize_module.",
    ),
    Mutant(
        "warnings as errors",
        warnings_raised,
        "You made PyTorch's warning an error. It comes while the plan is being applied, so some modules are cut by "
        "then; it names the rest of a key, not the key; and it comes once for each layer, also where a key matches in "
        "another one.",
        "a look at all keys, before parallelize_module.",
    ),
    Mutant(
        "warnings on a copy",
        partial(warnings_raised, on_a_copy=True),
        "You tried the plan elsewhere first, and took PyTorch's warnings for the answer. But a warning names the rest "
        "of a key, not the key, and it comes for each layer that has no such module, also where a key matches in "
        "another one.",
        "a look at the keys that asks once for each: does it match anywhere?",
    ),
    _wrong(
        "applied first",
        "You refuse too late: parts of the model were cut by then. Whoever catches the error and mends the plan has a "
        "model that is half DTensors.",
        "the order: look at all keys first.",
    ),
    _wrong(
        "nothing applied",
        "A plan whose keys all match is not applied: no parameter was cut.",
        "what happens when there is nothing to refuse.",
    ),
    _wrong(
        "nothing returned",
        "Your function returns None. It returns the model, as parallelize_module does.",
        "the last line.",
    ),
    _wrong(
        "another error",
        "You raise another error than ValueError.",
        "the type of the error.",
    ),
    _wrong(
        "the key alone",
        "Your message names the key, and not what is there in its place. Whoever has a typo wants to see the name "
        "next to it.",
        "named_children() of the modules where the path breaks off.",
    ),
    _wrong(
        "what is there alone",
        "Your message says what is there, and not which key matches nothing.",
        "the message: every such key, as it stands in the plan.",
    ),
    _wrong(
        "the first key only",
        "Your message names the first key that matches nothing. With two typos the reader mends one, and runs into the "
        "other.",
        "a loop that collects before it raises.",
    ),
    _wrong(
        "the whole plan",
        "Your message also names keys that do match. Which one is to be mended?",
        "the message: only the keys that match nothing.",
    ),
    _wrong(
        "* goes over dots",
        "Your function takes layers.*.wv for a match. There is a wv, but not in a layer: it is in its attention, and a "
        "* stands for one name, not for dots. (fnmatch on whole names lets it stand for dots.) parallelize_module "
        "finds no wv there, and leaves it whole.",
        "fnmatch on each part between two dots.",
        find=over_dots,
    ),
    _wrong(
        "every layer",
        "You refuse a key that some layers have no module for. Models with experts in some layers are like that: a "
        "key matches if it matches anywhere.",
        "where a path breaks off in one layer, and goes on in another.",
        find=partial(by_name, every=True),
    ),
    _wrong(
        "* is layer 0",
        "You put 0 in the place of *. A key may match in another layer only, and [qkv] is a pattern too.",
        "fnmatch(name, token), as parallelize_module does.",
        find=layer_0,
    ),
    _wrong(
        "no patterns",
        "You looked for each key among the names as they are. A key may be a pattern, with *, ? or [qkv] in it, and "
        "then it is no name.",
        "fnmatch(name, token), as parallelize_module does.",
        find=no_pattern,
    ),
    _wrong(
        "leaves only",
        "You looked among the modules that have no modules in them. A style may be meant for any: "
        "PrepareModuleInput stands before attention as a whole.",
        "named_modules() and named_children() give all of them.",
        find=leaves_only,
    ),
    _wrong(
        "the last name",
        "You looked at the last name of a key only. It is there somewhere, but not where the key leads.",
        "every name of the path, one after the other.",
        find=last_name,
    ),
    _wrong(
        "the first name",
        "You looked at the first name of a key only.",
        "every name of the path, one after the other.",
        find=partial(by_name, depth=1),
    ),
    _wrong(
        "parameters too",
        "You took a parameter's name for a module's. A style is applied to a module: to layers.*.attention.wq, and not "
        "to its weight.",
        "named_children() or named_modules(), not named_parameters().",
        find=parameters_too,
    ),
)
