"""Wrong answers to 06.6: f and g in other places of the MLP, or other functions in theirs."""

from torch import Tensor
from torch.nn.functional import silu

from tplearn.checks.ch06_backward.wires import Wire, averaged, pair, same, summed
from tplearn.checks.exercise import Mutant
from tplearn.parallel import copy_to_group as f
from tplearn.parallel import reduce_from_group as g


class Variant:
    """The MLP with a function at each place where one might stand; `same` where nothing does."""

    def __init__(self, **places: Wire) -> None:
        self.at = {"entry": f, "exit": g} | places

    def __call__(self, x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
        at = {place: self.at.get(place, same) for place in PLACES}
        stream = at["before the branch"](x)
        h = at["entry"](stream)
        gate_h, up_h = at["gate"](h), at["up"](h)
        middle = silu(at["after gate"](gate_h @ gate.T)) * at["after up"](up_h @ up.T)
        part = at["down"](middle) @ at["weight"](down).T
        return at["residual"](stream) + at["exit"](part) + at["bias"](bias)


PLACES = (
    "before the branch",
    "entry",
    "gate",
    "up",
    "after gate",
    "after up",
    "down",
    "weight",
    "exit",
    "residual",
    "bias",
)

MUTANTS = (
    Mutant(
        "f missing",
        Variant(entry=same),
        "The result and all weight gradients are right, but x's gradient holds only what your own columns send back. x "
        "goes into every rank's columns: without f nobody adds the partials up, and each rank goes on with another "
        "gradient.",
        "where x enters gate and up.",
    ),
    Mutant(
        "one f per column layer",
        Variant(entry=same, gate=f, up=f),
        "All numbers are right, and the backward pass has two all-reduces, where one is due. gate and up read the same "
        "x: put it through f once, and let both use it. Autograd adds their gradients up at home, before the wire.",
        "the ledger of the backward pass; how often f is called.",
    ),
    Mutant(
        "f before gate only",
        Variant(entry=same, gate=f),
        "f stands before gate and not before up. What up's columns say about x stays on the rank; x's gradient needs "
        "it from all ranks too.",
        "h = f(x), and both read h.",
    ),
    Mutant(
        "f before up only",
        Variant(entry=same, up=f),
        "f stands before up and not before gate. What gate's columns say about x stays on the rank; x's gradient needs "
        "it from all ranks too.",
        "h = f(x), and both read h.",
    ),
    Mutant(
        "f before the branch",
        Variant(**{"before the branch": f, "entry": same}),
        "The residual goes through f too. Its gradient is the same on every rank, and f summed it: x's gradient has "
        "the residual's share p times. f belongs to the branch that enters the shards, and to it alone.",
        "x + ...: which x.",
    ),
    Mutant(
        "f twice",
        Variant(**{"before the branch": same, "gate": f, "up": f}),
        "x passes through f twice on its way to the shards. The second all-reduce adds up p copies of a finished sum: "
        "what comes back through the MLP is p times too large.",
        "h = f(x), once.",
    ),
    Mutant(
        "f after gate and up",
        Variant(entry=same, **{"after gate": f, "after up": f}),
        "f stands behind the column matmuls. There it adds gradients of different columns, which belong to one rank "
        "each. What needs the sum is the gradient of x: f stands before the matmuls.",
        "where x enters gate and up.",
    ),
    Mutant(
        "g missing",
        Variant(exit=same),
        "Every rank returns its own partial of the MLP. down is cut by its inputs, so its result is a partial, and the "
        "sum over ranks is due.",
        "after down.",
    ),
    Mutant(
        "g before down",
        Variant(down=g, exit=same),
        "You summed before down. There each rank holds other columns of the ffn, which nothing may add up; the "
        "partials are made by down.",
        "g around the product with down, not inside it.",
    ),
    Mutant(
        "f and g swapped",
        Variant(entry=g, exit=f),
        "f and g have changed places. g at the entry sums p copies of x, so the shards see p · x; f at the exit leaves "
        "the partials as they are.",
        "f where the copy goes in, g where the partials come out.",
    ),
    Mutant(
        "g at both places",
        Variant(entry=g),
        "g stands at the entry too: it sums p copies of x, so the shards see p · x. What enters the shards is a copy: "
        "f.",
        "where x enters gate and up.",
    ),
    Mutant(
        "f at both places",
        Variant(exit=f),
        "f stands at the exit too. It leaves the partials as they are on the way forward; their sum is due there: g.",
        "after down.",
    ),
    Mutant(
        "plain all_reduce for g",
        Variant(exit=summed),
        "The numbers are right by luck: autograd does not know dist.all_reduce and sends the gradient on as if nothing "
        "had happened. torch warns of it (pytorch/pytorch#121587). g says what its backward is.",
        "what sums after down.",
    ),
    Mutant(
        "mean for g",
        Variant(exit=pair(averaged, same)),
        "You averaged the partials of the MLP. They are added.",
        "what happens after down.",
    ),
    Mutant(
        "all-reduce both ways for g",
        Variant(exit=pair(summed, summed)),
        "Your sum after down runs an all-reduce on the way back as well. Every rank has the gradient of y already: all "
        "gradients inside the MLP are p times too large.",
        "g's backward: nothing is sent.",
    ),
    Mutant(
        "g around the residual too",
        lambda x, *shards: g(Variant(exit=same)(x, *shards)),
        "Everything went into the sum: the residual and the bias came from every rank, so your result has p · x and p "
        "· bias in it.",
        "what stands inside g: the product with down alone.",
    ),
)
