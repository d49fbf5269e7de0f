"""What wrong largest tp sizes show: a limit that was not looked at, or was taken for another."""

import math

from tplearn.checks.exercise import mutants_of
from tplearn.planning.models import ModelShape


def wrong_max_tp(shape: ModelShape, gpus: int, peak: float, link: float, copies: bool, wrong: str) -> int:
    """The largest tp, with one thing `wrong`."""
    heads, kv_heads, width = shape.num_attention_heads, shape.num_key_value_heads, shape.intermediate_size
    limit = width * link / peak
    limit *= {"three matrices": 1.5, "bits": 8, "both ways": 2}.get(wrong, 1)
    limit = {
        "hidden for intermediate": shape.hidden_size * link / peak,
        "rounded up": math.ceil(limit),
        "below the limit": math.ceil(limit) - 1,
        "no link": math.inf,
    }.get(wrong, limit)
    if wrong in ("the rule alone", "the smallest limit"):
        most = [gpus, int(limit)] + ([heads] + [kv_heads] * (not copies)) * (wrong == "the smallest limit")
        return max(1, min(most))

    def cuts(tp: int) -> bool:
        kv_fits = kv_heads % tp == 0
        if wrong == "any copies":
            kv_fits |= copies and tp > kv_heads
        elif wrong != "copies never":
            kv_fits |= (copies or wrong == "copies always") and tp % kv_heads == 0
        query_fits = heads % tp == 0 or wrong == "no query heads"
        kv_fits |= wrong == "no KV heads"
        mlp_fits = (shape.hidden_size if wrong == "hidden divides" else width) % tp == 0 or wrong == "no MLP"
        power = wrong != "powers of two" or tp & (tp - 1) == 0
        return query_fits and kv_fits and mlp_fits and power

    most = heads if wrong == "no GPUs" else gpus
    fitting = [tp for tp in range(1, most + 1) if cuts(tp) and tp <= limit]
    if wrong == "up to the first that fails":
        return next((tp - 1 for tp in range(2, most + 1) if tp not in fitting), most)
    if wrong == "halved until it fits":
        tp = gpus
        while tp > 1 and tp not in fitting:
            tp //= 2
        return tp
    if wrong == "heads fewer than ranks":
        return max([1, *(tp for tp in range(1, most + 1) if tp <= min(heads, limit) and width % tp == 0)])
    return max(fitting, default=0 if wrong == "none fits" else 1)


LINK = "tp ≤ F · W / C."
CUT = "what has to divide by tp."
MUTANTS = mutants_of(
    wrong_max_tp,
    (
        "no link",
        "You did not ask the link. Beyond F · W / C the collectives take longer than the products they belong to.",
        LINK,
    ),
    ("the rule alone", "You took as many ranks as the link and the GPUs allow. The model has to be cut as well.", CUT),
    (
        "the smallest limit",
        "You took the smallest of several limits. Not every number below a limit cuts the model: heads and "
        "intermediate_size have to divide by it, and KV heads, too, unless they are copied.",
        CUT,
    ),
    ("rounded up", "You rounded the limit up. The next tp is beyond it already.", LINK),
    (
        "below the limit",
        "You left out the tp that is exactly F · W / C. It keeps the rule: ≤, not <.",
        LINK,
    ),
    ("hidden for intermediate", "You took hidden_size for F. What shrinks with tp is the inner width.", LINK),
    (
        "three matrices",
        "You made the limit half as large again, for SwiGLU's third matrix. True, but the task's rule counts two.",
        LINK,
    ),
    ("bits", "Your limit is 8 times the right one: the link's unit is bytes per second.", LINK),
    ("both ways", "Your limit is twice the right one. `link` is one way, and the rule wants it so.", LINK),
    ("no GPUs", "You did not ask how many GPUs the fast link reaches.", "gpus."),
    ("no query heads", "Your tp does not divide the query heads. A rank has whole heads.", CUT),
    ("no KV heads", "You did not ask the KV heads. Each is whole on a rank, or copied where that is allowed.", CUT),
    ("heads fewer than ranks", "You asked only for no more ranks than heads. Heads have to divide by tp.", CUT),
    ("no MLP", "Your tp does not divide intermediate_size.", CUT),
    ("hidden divides", "You asked whether hidden_size divides by tp. It is not cut; intermediate_size is.", CUT),
    ("copies never", "You never copy KV heads. With copies, a tp that is a multiple of them works, too.", "copies."),
    ("copies always", "You copy KV heads where that is not allowed.", "copies = False."),
    (
        "any copies",
        "You took every tp above the number of KV heads. For copies each head must go to equally many ranks: tp is a "
        "multiple of num_key_value_heads.",
        "copies.",
    ),
    ("powers of two", "You tried powers of two. 3, 5, 6 and 7 are sizes like others, where the heads divide.", CUT),
    (
        "halved until it fits",
        "You began with all GPUs and halved. That skips sizes which are not gpus / 2, gpus / 4 and so on.",
        "the sizes that you try.",
    ),
    (
        "up to the first that fails",
        "You went up to the first tp that does not work. 3 may fail where 4 works: try them all.",
        "the end of your loop.",
    ),
    ("none fits", "You return 0 where no cut is worth it. One rank cuts nothing and sends nothing: 1.", "a slow link."),
)
