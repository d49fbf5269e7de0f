"""What the wrong answers to exercise 12.4 show: caches, what goes into the model, the choice, and when a text ends."""

from functools import partial

from tplearn.checks.ch12_real_weights.decode_wrong import wrong_decode
from tplearn.checks.exercise import Mutant, mutants_of

TOGETHER = mutants_of(
    wrong_decode,
    (
        "whole text again at each step",
        "The text is right. You computed all of it again for each new token, so each all-reduce carries as many "
        "tokens as the text has, where 1 is due after the first step. The caches are there to be filled and read.",
        "the ledger: the bytes of the all-reduces after the first step.",
    ),
    (
        "new caches at each step",
        "You made new caches in each step. The new token then stands at position 0 and sees nothing but itself: the "
        "first word is right, and all others are guessed from one word. The caches live as long as the text.",
        "where the caches are made: before the loop.",
    ),
    (
        "one cache for all layers",
        "All layers share one cache: [KVCache(n)] * layers is one object in many places. Each layer has keys and "
        "values of its own.",
        "a list comprehension: [KVCache(n) for _ in model.layers].",
    ),
    (
        "caches for the prompt only",
        "Your caches have room for the prompt, and none for what is written.",
        "KVCache(max_length): prompt and new tokens together.",
    ),
    (
        "old tokens again into the cache",
        "You gave the model the whole text and the caches of it. It takes what you give for what comes next, so every "
        "old token stands in the cache once more for each step, at later positions. After the prompt only the new "
        "token goes in.",
        "the first argument of model(...) after the first step: [batch, 1].",
    ),
    (
        "own words, in step",
        "Each rank chose among its own words. The ranks then go on with different texts, and their all-reduces add up "
        "partials of different texts: the shapes are equal, so no collective complains. The argmax goes over the "
        "whole vocabulary, as model(...) returns it.",
        "the shape of the logits before argmax: [batch, 1, vocab].",
    ),
    (
        "logits of the whole prompt gathered",
        "The text is right. You had the logits of every token of the prompt gathered and used those of the last: "
        "prompt · vocabulary numbers on the wire where vocabulary is enough. last=True takes the last token before "
        "the head.",
        "the ledger: the bytes of the first all_gather.",
    ),
    (
        "drawn, not chosen",
        "You drew the next word. Greedy text takes the likeliest one, each time.",
        "argmax in place of multinomial.",
    ),
    ("least likely word", "You took the least likely word.", "argmax, not argmin."),
    (
        "words of rank 0 sent",
        "The text is right. You sent rank 0's words to the others, in every step. All ranks have the gathered logits, "
        "the same bits, and so the same argmax: nothing has to be sent.",
        "the broadcast: greedy text needs none.",
    ),
    (
        "asks the others whether to stop",
        "The text is right. You asked the other ranks whether to stop, in every step. All ranks have the same text, "
        "so they all know: nothing has to be sent.",
        "the collective of your loop: the ranks agree without it.",
    ),
    (
        "no early stop",
        "You went on after all texts had ended: steps of the whole model for nothing but eos.",
        "the end of the loop: when every text has written eos.",
    ),
    (
        "cut afterwards",
        "The text is right, but you ran all steps and cut the result afterwards: steps of the whole model for nothing "
        "but eos.",
        "the end of the loop: when every text has written eos.",
    ),
    (
        "first end ends all",
        "You stopped when the first text had ended. The others had more to say: stop when all have ended.",
        "all, not any.",
    ),
    (
        "ended texts go on",
        "Texts that had written eos went on writing. What comes after a text's eos is eos.",
        "what an ended text gets: eos, whatever the model says.",
    ),
    (
        "ended now",
        "You stopped only where all texts wrote eos in the same step, and let ended texts go on. Keep in mind which "
        "texts have ended.",
        "a mask that grows: ended = ended | (new == eos).",
    ),
    (
        "filled with 0",
        "You filled ended texts up with 0. That is a word; eos is due.",
        "what an ended text gets: eos.",
    ),
    (
        "end token left out",
        "You stopped before the last eos was written. It belongs to the text.",
        "the order: write the new tokens, then ask whether all have ended.",
    ),
    (
        "end in the prompt",
        "You took an eos in the prompt for the end of a text. Texts are often put together with it; only one that is "
        "written ends a text.",
        "the mask before the first step: no text has ended.",
    ),
    (
        "a step too few",
        "You wrote one token less than new_tokens where no text ends before.",
        "the loop: the prompt's step gives the first new token.",
    ),
    (
        "a step too many",
        "You wrote one token more than new_tokens.",
        "the loop: the prompt's step gives the first new token.",
    ),
    (
        "prompt left out",
        "You returned the new tokens alone. The prompt stands before them.",
        "the return: [batch, prompt + steps].",
    ),
)

OWN_WORDS = Mutant(
    "best of a rank's own words",
    partial(wrong_decode, wrong="best of a rank's own words"),
    "Each rank chose among its own words. The ranks then go on with different texts, and their all-reduces add up "
    "partials of different texts: the shapes are equal, so no collective complains. And each rank stops when its own "
    "texts have ended, while others still wait for it. The argmax goes over the whole vocabulary, as model(...) "
    "returns it.",
    "the shape of the logits before argmax: [batch, 1, vocab].",
    alone=True,
)
MUTANTS = (*TOGETHER, OWN_WORDS)
