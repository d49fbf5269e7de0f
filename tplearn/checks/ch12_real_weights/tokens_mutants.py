"""Wrong answers to exercise 12.5: who draws, what is sent, whose draw counts, and what the temperature does."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.exercise import mutants_of


def _tokens(logits: Tensor, temperature: float, generator: Generator, wrong: str) -> Tensor:
    """[batch] tokens, with one thing `wrong`."""
    last = dist.get_world_size() - 1
    if wrong == "logits sent, tokens not":
        logits = logits.clone()
        dist.broadcast(logits, src=0)
    if wrong == "likeliest word":
        return logits.argmax(-1)
    scaled = {"temperature upside down": logits * temperature, "temperature forgotten": logits}.get(
        wrong, logits / temperature
    )
    probabilities = scaled.softmax(-1)
    if wrong == "softmax over the texts":
        probabilities = scaled.softmax(0)
    if wrong == "softmax twice":
        probabilities = probabilities.softmax(-1)
    if wrong == "state of the generator sent":
        state = generator.get_state()
        dist.broadcast(state, src=0)
        generator.set_state(state)
    own = wrong not in ("not the given generator", "not the given generator, sent")
    tokens = torch.multinomial(probabilities, 1, generator=generator if own else None).squeeze(-1)
    if wrong == "one word for all texts":
        tokens = tokens[:1].expand(len(tokens)).clone()
    if wrong == "sent one by one":
        for token in tokens.unbind():
            dist.broadcast(token, src=0)
        return tokens
    if wrong == "sent as an object":
        found = [tokens]
        dist.broadcast_object_list(found, src=0)
        return found[0]
    ops = {"largest of the draws": dist.ReduceOp.MAX, "smallest of the draws": dist.ReduceOp.MIN}
    if wrong in ops:
        dist.all_reduce(tokens, op=ops[wrong])
    elif wrong == "sum of rank 0's and zeros":
        tokens = tokens * (dist.get_rank() == 0)
        dist.all_reduce(tokens)
    elif wrong == "mean of the draws":
        dist.all_reduce(tokens)
        tokens = tokens // dist.get_world_size()
    elif wrong not in (
        "a draw on every rank",
        "logits sent, tokens not",
        "state of the generator sent",
        "not the given generator",
    ):
        dist.broadcast(tokens, src=last if wrong == "the last rank's draw" else 0)
    return tokens


SENT = "what goes into the broadcast, and that it comes after the draw."
DIVIDED = "logits / temperature, before the softmax."

MUTANTS = mutants_of(
    _tokens,
    (
        "a draw on every rank",
        "Every rank drew for itself, with its own generator. From the next step on the ranks compute partials of "
        "different texts and add them up; no collective complains (openai/gpt-oss#270). One rank's draw counts, and "
        "the others get it.",
        "dist.broadcast(tokens, src=0): it writes rank 0's draw into the very tensor it is given, and that one is due.",
    ),
    (
        "not the given generator",
        "You drew without the generator you were given. PyTorch's own generator draws the same on all ranks only "
        "where all were seeded alike and have drawn alike since; here rank 0's generator decides.",
        "torch.multinomial(…, generator=generator), and a broadcast of what it gives.",
    ),
    (
        "not the given generator, sent",
        "You drew without the generator you were given. The ranks agree, on another draw than that of rank 0's "
        "generator.",
        "torch.multinomial(…, generator=generator).",
    ),
    (
        "largest of the draws",
        "All ranks agree, on the largest index that any of them drew. That is no draw from the distribution any more: "
        "the more ranks, the more often words with a high number win.",
        "whose tokens are used: rank 0's, by broadcast.",
    ),
    (
        "smallest of the draws",
        "All ranks agree, on the smallest index that any of them drew. That is no draw from the distribution any "
        "more: the more ranks, the more often words with a low number win.",
        "whose tokens are used: rank 0's, by broadcast.",
    ),
    (
        "mean of the draws",
        "You took the mean of the drawn indices. A word's number is a name, not a quantity: the mean of two words is "
        "a third one that nobody drew.",
        "whose tokens are used: rank 0's, by broadcast.",
    ),
    (
        "sum of rank 0's and zeros",
        "The tokens are right. You added rank 0's tokens and the others' zeros: an all-reduce, which sends more than "
        "a broadcast does.",
        "dist.broadcast(tokens, src=0).",
    ),
    (
        "the last rank's draw",
        "All ranks agree, on the draw of the last rank. Rank 0's draw counts.",
        "src of the broadcast: 0.",
    ),
    (
        "logits sent, tokens not",
        "You sent rank 0's logits or probabilities around, which all ranks had already, and then each rank drew by "
        "itself. What differs is the draw, and what must be sent is the result: one number a text instead of a "
        "vocabulary.",
        SENT,
    ),
    (
        "sent one by one",
        "The tokens are right, in a message for each text. One message carries them all.",
        "dist.broadcast(tokens, src=0), once.",
    ),
    (
        "state of the generator sent",
        "The tokens are right. You sent the state of rank 0's generator, 5 kB, so that all ranks draw alike. The "
        "tokens themselves are 8 bytes a text.",
        SENT,
    ),
    (
        "sent as an object",
        "The tokens are right. You sent them as a Python object, which is pickled and goes in two messages: its "
        "length, and then itself.",
        "dist.broadcast(tokens, src=0), of the tensor itself.",
    ),
    (
        "likeliest word",
        "You took the likeliest word. That agrees on all ranks without a message, and it is greedy decoding: the "
        "temperature has no say, and the text is the same each time. Here a draw is asked for.",
        "torch.multinomial with the rank's generator, and a broadcast.",
    ),
    (
        "temperature upside down",
        "You multiplied the logits by the temperature. They are divided by it: a low temperature makes differences "
        "larger and the draw surer, a high one makes it wilder.",
        DIVIDED,
    ),
    (
        "temperature forgotten",
        "The temperature has no say in your draw. (To divide the probabilities by it changes nothing: multinomial "
        "scales them back to a sum of 1.)",
        DIVIDED,
    ),
    (
        "softmax over the texts",
        "Your softmax runs over the texts, dim 0. Each text chooses among the words: the last dim.",
        "softmax(-1).",
    ),
    (
        "softmax twice",
        "You took the softmax of probabilities. They are nearly equal after that, and so is every draw.",
        "one softmax, of logits / temperature.",
    ),
    (
        "one word for all texts",
        "All texts got the first one's word. Each draws its own.",
        "torch.multinomial gives [batch, 1]: one word for each text.",
    ),
)
