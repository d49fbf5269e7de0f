"""What is still wrong in a recommendation: a limit that was not asked, or another order of what is better."""

import math

from tplearn.checks.exercise import mutants_of

Layout = dict[str, int]


def as_found(weight_bytes: int, heads: int, layers: int, gpus: int, gpus_per_node: int, room: int) -> Layout:
    """The task's broken version, unchanged."""
    if weight_bytes <= room:
        return {"tp": 1, "pp": 1, "dp": 1}
    tp = min(gpus, gpus_per_node)
    pp = 1 if weight_bytes <= room * gpus else math.ceil(gpus / tp)
    return {"tp": tp, "pp": pp, "dp": 1}


def wrong_layout(
    weight_bytes: int, heads: int, layers: int, gpus: int, gpus_per_node: int, room: int, wrong: str
) -> Layout:
    """The recommendation, with one thing `wrong`."""
    if wrong == "as found":
        return as_found(weight_bytes, heads, layers, gpus, gpus_per_node, room)
    if wrong == "whole nodes alone" and gpus > gpus_per_node:
        gpus -= gpus % gpus_per_node
    most = gpus if wrong == "beyond the node" else gpus_per_node
    of_node = {"across two nodes", "beyond the node"}
    widths = [
        tp
        for tp in range(1, most + 1)
        if (heads % tp == 0 or wrong == "heads not asked") and (gpus_per_node % tp == 0 or wrong in of_node)
    ]
    if wrong == "all of the node":
        widths = widths[-1:]
    pps = [1] if wrong == "no stages" else range(1, max(layers, gpus) + 1)
    found = []
    for pp in pps:
        for tp in widths:
            fullest = {"even share": layers / pp, "smallest stage": layers // pp}.get(wrong, math.ceil(layers / pp))
            filled = weight_bytes * fullest / layers / tp
            if wrong == "FSDP":
                filled = weight_bytes / gpus
            if wrong == "node full first" and pp > 1 and tp < widths[-1]:
                continue
            if wrong == "equal stages" and layers % pp:
                continue
            there = tp * pp <= gpus or wrong == "more than there are"
            whole = gpus % (tp * pp) == 0 or wrong != "none may idle"
            fits = filled < room if wrong == "full is too full" else filled <= room
            if there and whole and fits:
                found.append((pp, tp))
    order = {
        "fewest GPUs": lambda layout: (layout[0] * layout[1], layout[0]),
        "smallest tp first": lambda layout: (layout[1], layout[0]),
        "largest tp": lambda layout: (layout[0], -layout[1]),
        "most stages": lambda layout: (-layout[0], layout[1]),
    }.get(wrong)
    if not found and wrong != "no refusal":
        raise ValueError("nothing fits")
    pp, tp = min(found, key=order, default=(max(1, gpus // widths[-1]), widths[-1]))
    dp = {
        "no replicas": 1,
        "replicas of tp": gpus // tp,
        "replicas by node": max(1, gpus // gpus_per_node),
        "rounded up": math.ceil(gpus / (tp * pp)),
    }.get(wrong, max(1, gpus // (tp * pp)))
    return {"tp": tp, "pp": pp, "dp": dp}


FITS = "what the fullest GPU holds, and whether it fits."
ORDER = "which of several layouts that fit is taken: fewest stages, then the smallest tp."
TP = "which tp are tried."
MUTANTS = mutants_of(
    wrong_layout,
    (
        "as found",
        "That is the version from the task, unchanged. Ask of what it returns: does it fit, are there so many GPUs, "
        "and what do the others do?",
        "each rule of the task, one after the other.",
    ),
    (
        "no replicas",
        "Your dp is always 1: the GPUs that one replica leaves free do nothing. They serve as further replicas.",
        "dp.",
    ),
    ("replicas of tp", "You forgot the stages in dp: one replica takes tp · pp GPUs.", "dp."),
    ("replicas by node", "You took one replica for each node. A node may hold several, and a replica several.", "dp."),
    (
        "whole nodes alone",
        "You left out the last node where it is not full. Its GPUs serve as well.",
        "gpus.",
    ),
    ("rounded up", "Your last replica lacks GPUs. Round down; what is left over idles.", "dp."),
    (
        "none may idle",
        "You took only layouts that use every GPU. With 7 GPUs and tp = 2, three replicas run and one GPU idles.",
        ORDER,
    ),
    (
        "all of the node",
        "You took as much TP as a node has. A smaller tp that fits has cheaper collectives, and leaves GPUs for more "
        "replicas.",
        ORDER,
    ),
    (
        "node full first",
        "Where one stage does not suffice you tried the largest tp alone. Another may fit: on 6 GPUs tp = 2 with three "
        "stages, where tp = 4 with two would take 8.",
        ORDER,
    ),
    ("largest tp", "Of several tp that fit, you took the largest. The smallest was asked for.", ORDER),
    ("smallest tp first", "You took stages before TP. Fewest stages come first: stages wait for each other.", ORDER),
    (
        "fewest GPUs",
        "You took the layout with the fewest GPUs. Fewest stages come first, also where a replica gets larger by that.",
        ORDER,
    ),
    ("most stages", "You took the most stages. The fewest were asked for.", ORDER),
    ("no stages", "You never cut by layers. Where a node does not suffice, stages on more nodes do.", "pp."),
    ("heads not asked", "Your tp does not divide the heads. A rank has whole heads.", TP),
    ("across two nodes", "Your tp fits into a node, and does not divide it: some group has ranks on two nodes.", TP),
    ("beyond the node", "Your tp is larger than a node. Its all-reduces would run on the slow link.", TP),
    ("more than there are", "You used more GPUs than there are. tp · pp may be gpus at most.", "tp · pp · dp."),
    (
        "even share",
        "You gave each stage the same bytes. Layers are whole: the fullest stage has ⌈layers / pp⌉ of them, and it has "
        "to fit.",
        FITS,
    ),
    (
        "equal stages",
        "You took only stages with equally many layers. Layers need not divide by pp: 10 on 4 stages are 3, 3, 2 "
        "and 2.",
        FITS,
    ),
    ("smallest stage", "You asked whether the stage with fewest layers fits. The fullest one has to.", FITS),
    (
        "FSDP",
        "You shared the weights out over all GPUs. Replicas hold them once each: what a GPU holds falls with tp and "
        "pp only.",
        FITS,
    ),
    ("full is too full", "You refused weights that fill the room exactly. They fit.", FITS),
    ("no refusal", "Where nothing fits you recommend a layout all the same. A ValueError is due.", FITS),
)
